"""Installations with users, on which the workloads run. Rule: each is prepared once and then copied, and one runs at a time.

`one` is a home alone with pairs of users (each of the first half has one contact in the second half). `postgres` is the same in separate
processes, on RabbitMQ and PostgreSQL. `two` has senders on h1, recipients on h2, and RabbitMQ between them. `prosody` and
`prosody-archive` have as many pairs on an XMPP server. These run on between the runs of a workload; all others are started anew, on a
copy of a prepared directory.
"""

import contextlib
import functools
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import prosody
from bench.installation import Installation, one_process, real_installation
from bench.lines import Line
from bench.load import Load
from bench.people import Person, add_contacts, load, register, save
from bench.xmpp import XmppLine
from tests.support.postgres import PrivatePostgres
from tests.support.rabbitmq import PrivateRabbit
from tests.support.rabbitmq_choice import URL_VARIABLE, GivenRabbit

Prepare = Callable[[Installation, list[Person]], Awaitable[None]]


@dataclass(slots=True)
class Field:
    """A running installation with everybody online."""

    kind: str
    load: Load
    stack: contextlib.ExitStack


class Rig:
    """Makes and keeps installations below `root`. `pairs`: how many lines popups travel on; `quick`: no figure matters; `python`: the
    interpreter that has the measured version installed; `rabbit`: another rig's broker, to share it."""

    def __init__(
        self,
        root: Path,
        pairs: int,
        quick: bool,
        python: str = sys.executable,
        rabbit: Callable[[], PrivateRabbit | GivenRabbit] | None = None,
    ) -> None:
        self.root = root
        self.quick = quick
        self.pairs = pairs
        self.python = python
        self.rabbit = rabbit or self._own_rabbit
        self.notes: list[str] = []
        self._copies = 0
        self._field: Field | None = None
        self._rabbit: PrivateRabbit | GivenRabbit | None = None
        self._fields: dict[str, Callable[[contextlib.ExitStack], Awaitable[Load]]] = {
            "one": self._one,
            "two": self._two,
            "postgres": self._postgres,
            "prosody": functools.partial(self._prosody, archive=False),
            "prosody-archive": functools.partial(self._prosody, archive=True),
        }

    async def field(self, kind: str) -> Field:
        """The installation of this kind, with its lines open. Raises `Missing` when a program is not installed."""
        if self._field is None or self._field.kind != kind:
            self.leave()
            stack = contextlib.ExitStack()
            try:
                self._field = Field(kind, await self._fields[kind](stack), stack)
            except BaseException:
                stack.close()
                raise
        return self._field

    def leave(self) -> None:
        """End the installation that is kept running."""
        if self._field is not None:
            for line in self._field.load.lines:
                line.close()
            self._field.stack.close()
            self._field = None

    def close(self) -> None:
        """End everything."""
        self.leave()
        if self._rabbit is not None:
            self._rabbit.close()

    @contextlib.asynccontextmanager
    async def fresh(self, name: str, prepare: Prepare | None = None, **settings: str) -> AsyncIterator[tuple[Installation, list[Person]]]:
        """A new process on a copy of the prepared users. `prepare` changes the original once; the result is kept as `name`."""
        self.leave()
        prepared = await self._people()
        if prepare is not None:
            prepared, source = self.root / name, prepared
            if not prepared.exists():
                draft = self._copy(source)
                with one_process(draft, self.python) as installation:
                    await prepare(installation, load(installation))
                draft.rename(prepared)
        copy = self._copy(prepared)
        with one_process(copy, self.python, **settings) as installation:
            yield installation, load(installation)
        shutil.rmtree(copy)

    def _own_rabbit(self) -> PrivateRabbit | GivenRabbit:
        """The broker of real installations, running."""
        if self._rabbit is None:
            given = os.environ.get(URL_VARIABLE)
            if given:
                self.notes.append(f"RabbitMQ was given by {URL_VARIABLE}: its CPU cannot be counted and is missing below")
            self._rabbit = GivenRabbit(given) if given else PrivateRabbit(self.root / "rabbitmq")
            self._rabbit.start()
        return self._rabbit

    def fresh_directory(self) -> Path:
        """A directory that does not exist yet."""
        self._copies += 1
        return self.root / f"copy-{self._copies}"

    async def _people(self) -> Path:
        """Registered users on one home; each of the first half has one of the second half as a contact."""
        prepared = self.root / "people"
        if not prepared.exists():
            draft = self.root / "people-draft"
            with one_process(draft, self.python) as installation:
                people = await register(installation, 2 * self.pairs)
                await add_contacts(zip(people[: self.pairs], people[self.pairs :], strict=True))
                save(people, draft)
            draft.rename(prepared)
        return prepared

    def _copy(self, prepared: Path) -> Path:
        copy = self.fresh_directory()
        shutil.copytree(prepared, copy)
        return copy

    async def _one(self, stack: contextlib.ExitStack) -> Load:
        installation = stack.enter_context(one_process(self._copy(await self._people()), self.python))
        people = load(installation)
        return await _opened(installation, people[: self.pairs], people[self.pairs :])

    async def _postgres(self, stack: contextlib.ExitStack) -> Load:
        postgres = PrivatePostgres()
        stack.callback(postgres.close)
        postgres.start()
        installation = self._real(stack, ("h1",), postgres.pids, FLASH_STORE_URL=postgres.new_database())
        people = await register(installation, 2 * self.pairs)
        await add_contacts(zip(people[: self.pairs], people[self.pairs :], strict=True))
        return await _opened(installation, people[: self.pairs], people[self.pairs :])

    async def _two(self, stack: contextlib.ExitStack) -> Load:
        installation = self._real(stack, ("h1", "h2"))
        people = await register(installation, 2 * self.pairs)
        senders = [person for person in people if person.home == "h1"]
        recipients = [person for person in people if person.home == "h2"]
        await add_contacts(zip(senders, recipients, strict=False))
        return await _opened(installation, senders, recipients)

    async def _prosody(self, stack: contextlib.ExitStack, archive: bool) -> Load:
        server = stack.enter_context(prosody.running(self.fresh_directory(), 2 * self.pairs, archive))
        messages = Load(server.cpu_s, {})
        for number in range(self.pairs):
            await messages.line(number, XmppLine).open(server)
        return messages

    def _real(
        self, stack: contextlib.ExitStack, homes: Sequence[str], store_pids: Callable[[], Sequence[int]] = tuple, **settings: str
    ) -> Installation:
        rabbit = self.rabbit()
        pids = rabbit.pids if isinstance(rabbit, PrivateRabbit) else tuple
        return stack.enter_context(
            real_installation(self.fresh_directory(), homes, rabbit.new_vhost(), pids, store_pids, self.python, **settings)
        )


async def _opened(installation: Installation, senders: list[Person], recipients: list[Person]) -> Load:
    popups = Load(installation.cpu_s, {"RabbitMQ": installation.broker_cpu_s, "PostgreSQL": installation.store_cpu_s})
    for number, (sender, recipient) in enumerate(zip(senders, recipients, strict=False)):
        await popups.line(number, Line).open(sender, recipient)
    return popups
