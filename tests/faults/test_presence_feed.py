"""An integrator follows presence while people come and go and servers are killed. Rule: what it was told is what the homes committed.

Per user, from the snapshot on: nothing missed, nothing doubled, nothing out of order. The truth is read from the homes' own databases.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

import flash_sdk
from flash_sdk.feed import version
from servers.messaging.presence_events import presence_feed
from tests.faults.history import READ, close, open_store
from tests.faults.installation import Installation
from tests.faults.people import PACE, PASSWORD, Crowd, Person
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

CHANGES = 150  # that the integrator hears of before everybody goes home
PEOPLE = 8
SETTLED_S = 45.0  # a restarted home's grace, and an outbox that pauses for five seconds before it tries again
Told = dict[int, list[tuple[str, str]]]  # uid -> (CloudEvent id, status), in order


class Integrator:
    """A program that follows presence with the SDK, and is restarted with its last cursor when it is told to be."""

    def __init__(self, url: str) -> None:
        self.snapshot: flash_sdk.Snapshot | None = None
        self.changes: list[flash_sdk.PresenceEvent] = []
        self.since: list[flash_sdk.PresenceEvent] = []  # the snapshot
        self.cuts = self.runs = self.gaps = 0
        self._url = url
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follow; from the last cursor, if there is one."""
        self.runs += 1
        self._task = asyncio.create_task(self._run())
        await eventually(lambda: self.snapshot, 30)

    async def _run(self) -> None:
        after = self.changes[-1].cursor if self.changes else None
        async with aclosing(flash_sdk.presence(self._url, "crm", PASSWORD, after=after, pace=PACE)) as items:
            async for item in items:
                match item:
                    case flash_sdk.Snapshot():
                        self.gaps += item.gap or self.snapshot is not None
                        self.snapshot, self.since = item, []
                    case flash_sdk.PresenceEvent():
                        self.changes.append(item)
                        self.since.append(item)
                    case flash_sdk.Disconnected():
                        self.cuts += 1

    async def stop(self) -> None:
        """End the program at any point. Raises the error with which it failed."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def told(self) -> Told:
        """The changes of each user, as they came."""
        told: Told = {}
        for change in self.changes:
            told.setdefault(change.uid, []).append((change.id, change.status))
        return told


async def committed(installation: Installation, integrator: Integrator) -> Told:
    """The changes of each user that the homes have committed after the integrator's snapshot."""
    assert integrator.snapshot is not None
    shown = {user.uid: version(user.id or "") for user in integrator.snapshot.users}
    truth: Told = {}
    for name in installation.homes:
        store = open_store(installation.store_url(name), name)
        try:
            position = 0
            while batch := await store.run_reader(store.read, position, READ):
                position = batch[-1].position
                for message in (message for each in batch for message in presence_feed_of(each, name)):
                    change = json.loads(message)
                    uid, id_ = change["data"]["uid"], change["id"]
                    if version(id_) > shown.get(uid, 0):
                        truth.setdefault(uid, []).append((id_, change["data"]["status"]))
        finally:
            await close(store)
    return truth


def presence_feed_of(each, home: str) -> list[bytes]:
    """What the feed must say of one committed event."""
    return [outgoing.body for outgoing in presence_feed(each, home, 0, 0)]


async def comes_and_goes(person: Person, stop: asyncio.Event, chance: random.Random) -> None:
    """Log in, be away or busy for a moment, and vanish; again and again until `stop`."""
    while not stop.is_set():
        window = await person.opens()
        for _ in range(chance.randint(0, 3)):
            with contextlib.suppress(flash_sdk.FlashClientError):  # its home is down: then it says nothing
                await person.client.set_status(chance.choice(("online", "away", "dnd")))
        await window.die()


@contextlib.asynccontextmanager
async def coming_and_going(people: Sequence[Person], chance: random.Random) -> AsyncIterator[None]:
    """Everybody comes and goes for as long as it lasts; at the end they are gone."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(comes_and_goes(person, stop, random.Random(chance.random()))) for person in people]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def test_an_integrator_misses_nothing_while_servers_are_killed(
    installation: Installation, rabbit: AnyRabbit, crowd: Crowd, chance: random.Random, tell: Callable[[object], None]
) -> None:
    """It begins amid the coming and going; the Global Server, each home, its own program and the broker's connections break once each."""
    people = [person for home in installation.homes for person in await crowd.lives_at(home, PEOPLE // 2)]
    async with flash_sdk.FlashClient(installation.global_server.url) as client:
        await client.register("crm", PASSWORD)
    integrator = Integrator(installation.global_server.url)
    breaks: list[Callable[[], object]] = [
        installation.global_server.restart,
        *(home.restart for home in installation.homes.values()),
        rabbit.reset_connections,
    ]
    chance.shuffle(breaks)
    async with coming_and_going(people, chance):
        await eventually(lambda: all(person.windows for person in people), 30)
        await integrator.start()
        for number, break_it in enumerate(breaks, start=1):
            await eventually(lambda number=number: len(integrator.changes) >= CHANGES * number // (len(breaks) + 1), SETTLED_S)
            await asyncio.to_thread(break_it)
        await integrator.stop()
        await integrator.start()
        await eventually(lambda: len(integrator.changes) >= CHANGES, SETTLED_S)

    async def agrees() -> bool:
        truth = await committed(installation, integrator)
        gone = all(changes[-1][1] == "offline" for changes in truth.values())
        return gone and sum(map(len, truth.values())) <= len(integrator.changes)

    await eventually(agrees, SETTLED_S)
    await integrator.stop()
    assert integrator.gaps == 0
    assert integrator.told() == await committed(installation, integrator)
    assert {person.uid for person in people} <= set(integrator.told())
    repeats = installation.global_server.metric("flash_feed_repeats")
    tell(
        f"{len(integrator.changes)} changes of {len(people)} people: missed 0, doubled 0, out of order 0; "
        f"{integrator.cuts} times cut off, {integrator.runs} runs, {repeats:.0f} repeats in the log since the Global Server's last start"
    )
