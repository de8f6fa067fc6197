"""Scripted people, who use the real SDK. Rule: a sender gives up on nothing; a window records everything that it shows, in order."""

import asyncio
import contextlib
import dataclasses
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

import flash_sdk.requests
from flash_sdk import FlashClient, Grant, Pace
from tests.faults.checker import Accepted, Ledger
from tests.support.waiting import eventually

PACE = Pace(first_s=0.05, longest_s=0.5)  # impatient people: a minute of test holds many reconnects
PASSWORD = "correct horse battery"
TALK_S = 0.12  # between two messages of one talker, on average: twenty of them leave two cores room for the servers
OPEN_S = 30.0


class Window:
    """One client of a person: a session, and what it shows. It comes back by itself, as the real one does, until it is closed."""

    def __init__(self, grant: Grant, server_url: str, pace: Pace = PACE) -> None:
        self.uid = grant.uid
        self.shown: list[tuple[int, str]] = []  # (sender, message id)
        self.shown_once: set[tuple[int, str]] = set()  # the same, to look into
        self.receipts: set[tuple[str, str]] = set()
        self.presence: dict[int, str] = {}
        self.changes: list[flash_sdk.PresenceChange] = []
        self.goodbyes: list[flash_sdk.Goodbye] = []
        self.welcomes = 0
        self.open = False  # whether the person wants to be online; the connection may be down
        self.direct = False  # whether to offer a port, to the home and to contacts near by
        self.calls: list[flash_sdk.Direct] = []
        self.connected = False
        self._seen = flash_sdk.MemorySeen()  # outlives a killed client, as a file does
        self._grant = grant
        self._server_url = server_url
        self._pace = pace
        self._task: asyncio.Task[None] | None = None
        self.client: FlashClient | None = None

    async def start(self) -> None:
        """Log in, and return when the welcome is there."""
        self.open = True
        before = self.welcomes
        self._task = asyncio.create_task(self._run())
        await eventually(lambda: self.welcomes > before, OPEN_S)

    async def _run(self) -> None:
        async with FlashClient(self._server_url, pace=self._pace) as self.client:
            self.client.use(self._grant)
            async for event in self.client.listen(seen=self._seen, direct=self.direct):
                self._note(event)

    def _note(self, event: flash_sdk.Event) -> None:
        match event:
            case flash_sdk.Welcome():
                self.welcomes += 1
                self.connected = True
                self.presence = {contact.uid: contact.presence.status for contact in event.contacts}
            case flash_sdk.Contacts():
                self.presence |= {contact.uid: contact.presence.status for contact in event.added}
            case flash_sdk.Message():
                self.shown.append((event.sender.uid, event.id))
                self.shown_once.add((event.sender.uid, event.id))
            case flash_sdk.Receipt():
                self.receipts.add((event.id, event.state))
            case flash_sdk.Direct():
                self.calls.append(event)
            case flash_sdk.Presence():
                self.changes.extend(event.changes)
                self.presence |= {change.uid: change.presence.status for change in event.changes}
            case flash_sdk.Goodbye():
                self.goodbyes.append(event)
            case flash_sdk.Disconnected():
                self.connected = False

    async def die(self) -> None:
        """Kill the client at any point: no ack, no goodbye, its sockets just close. `start` runs it again."""
        self.open = False
        if self.client is not None and self.client._opened is not None:
            await self.client._opened.close()  # the sockets close first, so that the client can send no goodbye
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(
                asyncio.CancelledError, flash_sdk.FlashClientError, RuntimeError
            ):  # raised because its sockets are gone
                await self._task
        self.connected = False


class Person:
    """A registered user with any number of windows. Sends through a client of its own, so that windows may die meanwhile."""

    def __init__(self, server_url: str, grant: Grant, client: FlashClient, pace: Pace = PACE) -> None:
        self.grant = grant
        self.uid = grant.uid
        self.handle = grant.handle
        self.home = grant.home.name
        self.windows: list[Window] = []
        self.client = client
        self._server_url = server_url
        self._pace = pace
        self._numbers: dict[int, int] = {}
        self._turn: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)  # by recipient: order says nothing of two sends at once

    @property
    def receipts(self) -> set[tuple[str, str]]:
        """Every receipt that any window got: (message id, state)."""
        return {receipt for window in self.windows for receipt in window.receipts}

    def bounced(self) -> set[str]:
        """Ids of messages that came back."""
        return {id_ for id_, state in self.receipts if state == "bounced"}

    @property
    def offered(self) -> int:
        """How many messages this person began to send."""
        return sum(self._numbers.values())

    async def opens(self, *, through: str | None = None, direct: bool = False) -> Window:
        """Open a window; `through`: a proxy's URL instead of the home's; `direct`: one that offers a port."""
        grant = self.grant if through is None else dataclasses.replace(self.grant, home=flash_sdk.Home(self.home, through))
        window = Window(grant, self._server_url, self._pace)
        window.direct = direct
        self.windows.append(window)
        await window.start()
        return window

    def next_id(self, to: int) -> str:
        """An id of our own, which shows sender, recipient and number in a failure's message."""
        self._numbers[to] = self._numbers.get(to, 0) + 1
        return f"{self.uid}-{to}-{self._numbers[to]}"

    async def insists(self, to: "Person", ledger: Ledger, text: str = "pop over?") -> Accepted:
        """Send one message: the same id again and again until there is a 202, whatever happens. Each waits for the one before it to the
        same recipient."""
        async with self._turn[to.uid]:
            id_ = self.next_id(to.uid)
            while True:
                try:
                    answer = await self.client.send(to.uid, text, id=id_)
                    break
                except (flash_sdk.Unreachable, flash_sdk.TryLater):
                    continue  # the SDK has paused between its own attempts
            assert answer.id == id_
            accepted = Accepted(self.uid, to.uid, id_, answer.accepted_at)
            ledger.record(accepted)
            return accepted

    async def tries(self, to: "Person", id_: str, text: str = "pop over?") -> Accepted:
        """Send once, without a retry. Raises the error of the server or of the connection."""
        http = flash_sdk.requests.Http(timeout_s=OPEN_S)
        try:
            body = {"id": id_, "to": to.uid, "text": text}
            answer = await http.call("POST", f"{self.grant.home.url}/v1/messages", token=self.grant.token, body=body)
        finally:
            await http.close()
        return Accepted(self.uid, to.uid, id_, flash_sdk.Accepted.of(answer).accepted_at)

    async def talks(self, to: Sequence["Person"], ledger: Ledger, stop: asyncio.Event, chance: random.Random) -> None:
        """Send to one of `to` at random, again and again, until `stop`. Every message that was begun is also accepted."""
        while not stop.is_set():
            await self.insists(chance.choice(to), ledger)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), chance.uniform(0, 2 * TALK_S))


async def knows(people: Sequence[Person]) -> None:
    """Everybody puts everybody on their list."""

    async def add_all(person: Person) -> None:
        for other in people:
            if other is not person:
                await person.client.add_contact(other.uid)

    await asyncio.gather(*map(add_all, people))


class Crowd:
    """Registers people and closes their clients at the end. Use as an async context manager."""

    def __init__(self, server_url: str, tag: str, pace: Pace = PACE) -> None:
        self._server_url = server_url
        self._tag = tag
        self._pace = pace
        self._clients = contextlib.AsyncExitStack()
        self.people: list[Person] = []
        self._free: list[Person] = []

    async def __aenter__(self) -> "Crowd":
        return self

    async def __aexit__(self, *failure: object) -> None:
        windows = [window for person in self.people for window in person.windows]
        await asyncio.gather(*(window.die() for window in windows), return_exceptions=True)
        await self._clients.aclose()

    async def registers(self, count: int) -> list[Person]:
        """`count` new people, at whatever homes the Global Server gives them."""
        first = len(self.people)
        fresh = await asyncio.gather(*(self._register(f"p{first + number}-{self._tag}") for number in range(count)))
        self.people.extend(fresh)
        return list(fresh)

    async def _register(self, handle: str) -> Person:
        client = await self._clients.enter_async_context(FlashClient(self._server_url, pace=self._pace))
        grant = await client.register(handle, PASSWORD)
        return Person(self._server_url, grant, client, self._pace)

    async def lives_at(self, home: str, count: int) -> list[Person]:
        """`count` people of that home whom no test uses yet; registers as many new ones as are needed."""
        while len(here := [person for person in self._free if person.home == home]) < count:
            self._free.extend(await self.registers(max(2, count - len(here))))
        chosen = here[:count]
        self._free = [person for person in self._free if person not in chosen]
        return chosen

    async def pair(self, *homes: str) -> list[Person]:
        """One person at each of the named homes, in that order; they know each other."""
        found = [person for home in homes for person in await self.lives_at(home, 1)]
        await knows(found)
        return found

    async def settle_in(self, count: int) -> list[Person]:
        """`count` people, half of them at each home, who all know each other, each with a window open."""
        people = [person for home in ("h1", "h2") for person in await self.lives_at(home, count // 2)]
        await knows(people)
        await asyncio.gather(*(person.opens() for person in people))
        return people


@contextlib.asynccontextmanager
async def chatter(people: Sequence[Person], ledger: Ledger, chance: random.Random) -> AsyncIterator[None]:
    """Everybody talks to the others, for as long as it lasts; at the end all that was begun is accepted."""
    stop = asyncio.Event()
    talks = [
        asyncio.create_task(person.talks([p for p in people if p is not person], ledger, stop, random.Random(chance.random())))
        for person in people
    ]
    try:
        yield
    finally:
        stop.set()
        results = await asyncio.gather(*talks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
