"""Servers and brokers that forget: emptied and older stores, a broker without its data, deleted streams. Rule: a deed mends what it broke.

Each deed says what may be lost by it: nothing, or what a home had accepted in the last moments before it lost its store.
"""

import asyncio
import random
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from broker import topology
from tests.faults.checker import Accepted, Ledger
from tests.faults.history import is_whole
from tests.faults.installation import FLASH, Installation, Server
from tests.support.postgres import PrivatePostgres
from tests.support.rabbitmq import PrivateRabbit
from tests.support.waiting import eventually

READY_S = 90.0  # a home that puts its log back from the history, on two busy cores
UNPUBLISHED_S = 3.0  # what a home accepts so shortly before its end may not have reached the history


@dataclass(frozen=True, slots=True)
class LostStore:
    """A home's store was lost or set back: only what it accepted from `since` to `until` may be gone, where nobody else has it."""

    home: str
    since: datetime
    until: datetime


class Forgetting:
    """Makes one part of an installation forget, lets people talk on for a while, and brings the part back."""

    def __init__(
        self, installation: Installation, rabbit: PrivateRabbit, postgres: PrivatePostgres | None, ledger: Ledger, chance: random.Random
    ) -> None:
        """`postgres`: where all servers have their stores; None: each has a SQLite file."""
        self._installation = installation
        self._rabbit = rabbit
        self._postgres = postgres
        self._ledger = ledger
        self._chance = chance
        self.lost_stores: list[LostStore] = []
        self.accepted_by_ops = 0  # how often ops had to accept a loss
        self._lost_history = False

    @property
    def deeds(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Each kind of deed, by name."""
        if self._postgres is not None:
            return {"PostgreSQL's primary is replaced by a replica without its tail": self._the_primary_is_replaced}
        return {
            "a home is killed": self._a_home_is_killed,
            "the Global Server is killed": self._the_global_server_is_killed,
            "a home's store is emptied": self._a_homes_store_is_emptied,
            "a home's store is set back": self._a_homes_store_is_set_back,
            "the Global Server's store is set back": self._the_global_servers_store_is_set_back,
            "the broker's data is wiped": self._the_brokers_data_is_wiped,
            "the history is deleted": lambda: self._a_stream_is_deleted(topology.HISTORY),
            "the presence log is deleted": lambda: self._a_stream_is_deleted(topology.PRESENCE_LOG),
            "an inbox with mail is deleted": self._an_inbox_with_mail_is_deleted,
        }

    def may_be_lost(self, accepted: Accepted, home: str) -> bool:
        """Whether this message of a user of `home` was accepted just before the home lost its store."""
        return any(each.home == home and each.since <= accepted.at <= each.until for each in self.lost_stores)

    async def mended(self) -> None:
        """Wait until the history is whole again: a store that is lost before that is a loss of both, which nobody can put back. Raises
        `AssertionError`."""
        if self._lost_history:
            await eventually(partial(is_whole, self._installation), READY_S)

    def _any_home(self) -> Server:
        return self._chance.choice(list(self._installation.homes.values()))

    async def _people_talk(self, at_most: int = 40) -> None:
        await self._ledger.grown(self._chance.randint(1, at_most))

    async def _a_home_is_killed(self) -> None:
        home = self._any_home()
        await asyncio.to_thread(home.kill)
        await self._people_talk()
        await asyncio.to_thread(home.start)

    async def _the_global_server_is_killed(self) -> None:
        await asyncio.to_thread(self._installation.global_server.kill)
        await self._people_talk()
        await asyncio.to_thread(self._installation.global_server.start)

    async def _a_homes_store_is_emptied(self) -> None:
        home = self._any_home()
        await asyncio.to_thread(home.kill)
        self._note_lost_store(home)
        self._remove_store(home.name)
        await self._people_talk()
        await self._comes_back(home)

    async def _a_homes_store_is_set_back(self) -> None:
        home = self._any_home()
        await self._keep_a_copy(home)
        await self._people_talk()
        await asyncio.to_thread(home.kill)
        self._note_lost_store(home)
        self._put_copy_back(home.name)
        await self._people_talk()
        await self._comes_back(home)

    async def _the_global_servers_store_is_set_back(self) -> None:
        server = self._installation.global_server
        await self._keep_a_copy(server)
        await self._people_talk()
        await asyncio.to_thread(server.kill)
        self._put_copy_back(server.name)
        await self._people_talk()
        await self._comes_back(server)

    async def _the_brokers_data_is_wiped(self) -> None:
        """While mail waits in it for a home that is down."""
        home = self._any_home()
        await asyncio.to_thread(home.kill)
        await self._people_talk()
        await asyncio.to_thread(self._rabbit.kill)
        await self._people_talk()
        self._lost_history = True
        await asyncio.to_thread(shutil.rmtree, self._rabbit.directory / "mnesia")
        await asyncio.to_thread(self._rabbit.start)
        await asyncio.to_thread(home.start)

    async def _a_stream_is_deleted(self, stream: str) -> None:
        self._lost_history = True
        await asyncio.to_thread(self._rabbit.ctl, "delete_queue", stream)
        await self._people_talk()

    async def _an_inbox_with_mail_is_deleted(self) -> None:
        home = self._any_home()
        await asyncio.to_thread(home.kill)
        await self._people_talk()
        await asyncio.to_thread(self._rabbit.ctl, "delete_queue", topology.INBOX_PREFIX + home.name)
        await self._people_talk()
        await asyncio.to_thread(home.start)

    async def _keep_a_copy(self, server: Server) -> None:
        """Copy the store of a server that is killed for it, so that the copy is what a disk would hold."""
        await asyncio.to_thread(server.kill)
        for file in self._files(server.name):
            shutil.copy2(file, self._copies / file.name)
        await asyncio.to_thread(server.start)

    async def _the_primary_is_replaced(self) -> None:
        """Under all servers, while they run. Each home has committed since, so each notices it and ends; the Global Server is killed,
        because it may have nothing to notice."""
        assert self._postgres is not None
        await asyncio.to_thread(self._postgres.keep_a_replica)
        await self._people_talk()
        for home in self._installation.homes.values():
            self._note_lost_store(home)
        await asyncio.to_thread(self._postgres.fail_over)
        await asyncio.to_thread(self._installation.global_server.kill)
        await self._comes_back(self._installation.global_server)
        for home in self._installation.homes.values():
            await eventually(partial(_ended, home), READY_S)
            await self._comes_back(home)

    def _put_copy_back(self, server: str) -> None:
        self._remove_store(server)
        for file in self._copies.glob(f"{server}.db*"):
            shutil.move(file, self._installation.data / file.name)

    @property
    def _copies(self) -> Path:
        directory = self._installation.directory / "copies"
        directory.mkdir(exist_ok=True)
        return directory

    def _files(self, server: str) -> list[Path]:
        return list(self._installation.data.glob(f"{server}.db*"))

    def _remove_store(self, server: str) -> None:
        for file in self._files(server):
            file.unlink()
        for folded in (self._installation.data / server).glob("*.projection"):  # the signing key of the Global Server stays
            folded.unlink()

    def _note_lost_store(self, home: Server) -> None:
        now = datetime.now(UTC)
        self.lost_stores.append(LostStore(home.name, now - timedelta(seconds=UNPUBLISHED_S), now))

    async def _comes_back(self, server: Server) -> None:
        """Start a server that was set back; where it waits for ops, accept the loss as ops would."""
        server.spawn()
        try:
            await eventually(server.ready, READY_S / 3)
        except AssertionError:
            if not server.running:
                server.spawn()
            done = await asyncio.to_thread(
                subprocess.run,
                [FLASH, "servers", "accept", server.name],
                capture_output=True,
                text=True,
                env=dict(server.environment),
                check=False,
            )
            if done.returncode == 0:
                self.accepted_by_ops += 1
                server.spawn()
            else:  # a long log on a busy machine takes its time
                assert "does not wait" in done.stderr, done.stdout + done.stderr
            await eventually(server.ready, READY_S)


def _ended(server: Server) -> bool:
    return server.ended() is not None
