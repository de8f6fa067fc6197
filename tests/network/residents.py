"""People who live on one side of the firewall. Rule: whatever a person does happens in the namespace where the person lives."""

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator, Callable

import flash_sdk
from flash_sdk import FlashClient, Grant, Patience
from flash_sdk.direct_port import DirectPort
from tests.faults.checker import Accepted, Ledger
from tests.faults.people import PACE, PASSWORD, Person, Window
from tests.network.namespaces import Place
from tests.support.waiting import eventually

AT_ONCE_S = 2.0  # for a popup with nothing in its way, on two cores that are busy with other things
# A tenth of what people have: the proxies are a few hops of one machine away.
SOON = Patience(welcome_s=1.5, trial_s=1.0, climb_s=1.5)


class Onlooker(Window):
    """A window that also writes down how parts came, how often it was blank, and why connections ended."""

    def __init__(self, grant: Grant, server_url: str) -> None:
        super().__init__(grant, server_url)
        self.transports: list[str] = []
        self.reasons: list[str] = []
        self.blanks = 0
        self.port: DirectPort | None = None

    async def _run(self) -> None:
        async with FlashClient(self._server_url, pace=PACE, patience=SOON) as self.client:
            self.client.use(self._grant)
            self.port = DirectPort(self._grant.home.url, self._grant.token) if self.direct else None
            async for event in self.client.listen(seen=self._seen, blanks=True, direct=self.port or False):
                self._note(event)

    def _note(self, event: flash_sdk.Event) -> None:
        match event:
            case flash_sdk.Connected():
                self.transports.append(event.transport)
            case flash_sdk.Disconnected():
                self.reasons.append(event.reason)
            case flash_sdk.Blank():
                self.blanks += 1
        super()._note(event)


class Resident(Person):
    """A registered user at a place."""

    def __init__(self, place: Place, server_url: str, grant: Grant, client: FlashClient) -> None:
        super().__init__(server_url, grant, client)
        self.place = place

    async def looks(self, *, through: str | None = None, direct: bool = False) -> Onlooker:
        """Open a window here; `through`: a proxy's URL instead of the home's; `direct`: let the home call."""
        grant = self.grant if through is None else dataclasses.replace(self.grant, home=flash_sdk.Home(self.home, through))
        window = Onlooker(grant, self._server_url)
        window.direct = direct
        self.windows.append(window)
        await self.place.run(window.start())
        return window

    async def adds(self, other: "Resident") -> None:
        """Put somebody on the contact list."""
        await self.place.run(self.client.add_contact(other.uid))

    async def sends(self, to: Person, ledger: Ledger) -> Accepted:
        """Send one message from here, until there is a 202."""
        return await self.place.run(self.insists(to, ledger))

    async def pops_up_at(self, window: Onlooker, to: Person, ledger: Ledger) -> float:
        """Send one message; the seconds until that window shows it, the sending included."""
        clock = asyncio.get_running_loop().time
        began = clock()
        sent = await self.sends(to, ledger)
        await eventually(lambda: (self.uid, sent.id) in window.shown_once, AT_ONCE_S)
        return clock() - began


@contextlib.asynccontextmanager
async def moving_in(place: Place, server_url: str, handle: str) -> AsyncIterator[Resident]:
    """Register somebody from where they live."""
    client = FlashClient(server_url, pace=PACE)
    await place.run(client.__aenter__())
    try:
        resident = Resident(place, server_url, await place.run(client.register(handle, PASSWORD)), client)
        try:
            yield resident
        finally:
            for window in resident.windows:
                await place.run(window.die())
    finally:
        await place.run(client.__aexit__(None, None, None))


@contextlib.asynccontextmanager
async def talking(ann: Resident, bob: Resident, ledger: Ledger, chance: random.Random) -> AsyncIterator[None]:
    """Both talk to each other for as long as it lasts; at the end all that was begun is accepted."""
    talks = []
    for person, other in ((ann, bob), (bob, ann)):
        stop = asyncio.Event()
        talk = asyncio.create_task(person.place.run(person.talks([other], ledger, stop, random.Random(chance.random()))))
        talks.append((person.place, stop, talk))
    try:
        yield
    finally:
        for place, stop, _ in talks:
            await place.run(_set(stop))
        results = await asyncio.gather(*(talk for _, _, talk in talks), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _set(event: asyncio.Event) -> None:
    event.set()


async def seconds_until(check: Callable[[], object], timeout_s: float = 20.0) -> float:
    """How long it took. `AssertionError` after `timeout_s`."""
    clock = asyncio.get_running_loop().time
    began = clock()
    await eventually(check, timeout_s)
    return clock() - began
