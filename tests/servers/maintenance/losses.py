"""A town with a home that is going to be lost, and all that was true of it. Rule: files are deleted for real, never renamed."""

import asyncio
from pathlib import Path
from typing import Any

from broker import envelope, topology
from broker.embedded.reader import EmbeddedReader
from broker.envelope import EventRecord
from projections.by_server import HomeProjections, by_name
from servers.integrity.policy import SealPolicy
from servers.integrity.verify import History, Report, verify
from servers.maintenance.backup import back_up_keys, back_up_log
from servers.maintenance.restore import restore
from tests.faults.history import open_store
from tests.servers.homes import START, Town

AFTER = 2  # rounds of talk between the backup and the disaster


class Place:
    """A town with a home that is going to be lost."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.town = Town(directory)
        self.town.seals = SealPolicy(events=20, seconds=3600)
        self.url = f"sqlite:///{directory}/h1.db"
        self.saved = directory / "saved"

    async def start(self) -> "Place":
        await self.town.start("h1", "h2")
        self.ann, self.bob = self.town.person("ann", "h1"), self.town.person("bob", "h2")
        await self.ann.opens()
        await self.bob.opens()
        await self.ann.adds(self.bob)
        await self.bob.adds(self.ann)
        await self.talk("before")
        return self

    async def talk(self, what: str, count: int = 3) -> None:
        for number in range(count):
            await self.ann.sends(self.bob, f"{what} {number} from ann")
            await self.bob.sends(self.ann, f"{what} {number} from bob")
        await self.town.settled()

    def back_up(self) -> None:
        back_up_log("h1", self.url, self.saved / "h1.db")
        back_up_keys("h1", "", self.url, self.saved / "keys" / "h1.db")

    def lose(self, *, keys: bool = True) -> None:
        """The disk is gone."""
        for path in (*self.directory.glob("h1.db*"), *(self.directory.glob("keys/h1.db*") if keys else ())):
            path.unlink()
        (self.directory / "h1.lock").unlink(missing_ok=True)

    async def restore(self, url: str = "", **options: Any) -> Any:
        history = options.pop("history", EmbeddedReader(self.directory / "broker.db"))
        return await restore(
            "h1", self.saved / "h1.db", self.saved / "keys" / "h1.db", url or self.url, "", self.directory / "h1", history, START, **options
        )

    async def verified(self) -> Report:
        """By its own seals and the history."""
        history = History("h1")
        for record in await told_by(self.directory, "h1"):
            history.learn(record.position, record.stream, record.version, record.topic, record.data)
        return verify("h1", self.url, None, history)


async def told_by(directory: Path, server: str) -> list[EventRecord]:
    """What the history has of a server."""
    found: list[EventRecord] = []
    async for item in EmbeddedReader(directory / "broker.db").read_stream(topology.HISTORY, "first", follow=False):
        told = envelope.decode(item.body)
        found += [record for record in told.events if told.source == server]
    return found


async def ruin(directory: Path) -> None:
    """A home was backed up, went on, and is stopped."""
    place = await Place(directory).start()
    await asyncio.to_thread(place.back_up)
    await place.talk("after", AFTER)
    await place.town.stop()


def state(url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every stream's state, with the texts that it holds in the log, and every index, folded from the log with the keys."""
    store = open_store(url, "h1")
    try:
        streams: dict[str, list[str]] = {}
        indices = by_name(HomeProjections())
        for committed in store.read(0, 100_000):
            streams.setdefault(committed.event.originator_id, []).append(getattr(committed.event, "text", ""))
            for index in indices.values():
                index.apply(committed.position, committed.event)
        kept = {stream: texts for stream, texts in streams.items() if not stream.startswith(("restored-", "life-"))}
        folded = {stream: repr((store.load(stream).to_snapshot(), texts)) for stream, texts in kept.items()}
        return folded, {name: index.to_checkpoint() | {"position": 0} for name, index in indices.items()}
    finally:
        store.close()
