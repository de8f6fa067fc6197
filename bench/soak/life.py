"""The life of a soak: people talk, come and go, register and leave for good, and strangers send nonsense.

Rule: who registers is erased later, and whose window closes opens it again, so that nothing but a leak grows.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import aiohttp

import flash_sdk
from domain.user.state import REMEMBERED_SENDS
from flash_sdk import FlashClient
from tests.faults.checker import Ledger
from tests.faults.people import PACE, PASSWORD, Person, Window
from tests.support.waiting import eventually

# Seconds between two deeds of one of those who do them, on average. With the times that deeds take, each second has about 20 messages, a
# login, nearly a registration and an erasure, 4 bad requests and a question to the audit.
TALK_S, ABSENCE_S, VISIT_S, BAD_S, QUESTION_S = 0.25, 1.0, 4.0, 0.25, 1.0
ABSENT, VISITORS = 2, 4  # at once, at most
AWAY_S = 1.5  # messages wait for so long
ARRIVED_S = 180.0  # RabbitMQ needs a minute to come back on busy cores, and mail some seconds more

T = TypeVar("T")


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the server can do it. The SDK's pauses are short, so this one is not."""
    while True:
        try:
            return await call()
        except flash_sdk.TryLater as later:
            await asyncio.sleep(later.retry_after_s or 0.5)


class Life:
    """Everybody's life in one installation. `residents` stay from the beginning to the end, with a window each; `guests` were here."""

    def __init__(
        self, global_url: str, home_urls: Sequence[str], residents: list[Person], chance: random.Random, console_cookie: str
    ) -> None:
        """`console_cookie`: of somebody who may ask the audit; empty: nobody does."""
        self.ledger = Ledger()
        self.residents = residents
        self.guests: list[Person] = []
        self.deeds: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()  # `bad 401`, `question 200`
        self._global_url = global_url
        self._home_urls = home_urls
        self._chance = chance
        self._console_cookie = console_cookie
        self._stop = asyncio.Event()
        self._away: set[Person] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._http: aiohttp.ClientSession | None = None

    @property
    def people(self) -> list[Person]:
        """Everybody who ever lived here."""
        return [*self.residents, *self.guests]

    async def fill(self) -> None:
        """Everybody sends as many messages as a server remembers of one sender, so that this has its full size from the beginning."""

        async def send(who: Person, to: Person) -> None:
            for _ in range(REMEMBERED_SENDS):
                await who.insists(to, self.ledger)

        await asyncio.gather(*(send(who, to) for who, to in zip(self.residents, self.residents[1:] + self.residents[:1], strict=True)))

    def begin(self) -> None:
        """Let them live."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        lives = [self._often(TALK_S, lambda who=who: self._talk(who)) for who in self.residents]  # type: ignore[misc]
        lives += [self._often(ABSENCE_S, self._go_away) for _ in range(ABSENT)]
        lives += [self._often(VISIT_S, self._visit) for _ in range(VISITORS)]
        lives.append(self._often(BAD_S, self._send_nonsense))
        if self._console_cookie:
            lives.append(self._often(QUESTION_S, self._ask_the_audit))
        self._tasks = [asyncio.create_task(life) for life in lives]

    def failed(self) -> list[BaseException]:
        """Why lives ended that should go on."""
        return [error for task in self._tasks if task.done() and not task.cancelled() and (error := task.exception()) is not None]

    async def end(self) -> None:
        """Let everybody finish what they do; then everybody who stays has a window open."""
        self._stop.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def _often(self, mean_s: float, deed: Callable[[], Awaitable[None]]) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._chance.uniform(0, 2 * mean_s))
                return
            await deed()

    async def _talk(self, who: Person) -> None:
        to = self._chance.choice([each for each in self.residents if each is not who])
        await who.insists(to, self.ledger, "x" * self._chance.randint(3, 400))

    async def _go_away(self) -> None:
        """Close the window, as one does or as a machine that fails, let messages wait, and come back."""
        here = [each for each in self.residents if each not in self._away]
        who = self._chance.choice(here)
        window = who.windows[0]
        self._away.add(who)
        if self._chance.random() < 0.5:
            await self._log_off(window)
        await window.die()
        await asyncio.sleep(AWAY_S)
        await window.start()
        self._away.discard(who)
        self.deeds["logins"] += 1

    async def _log_off(self, window: Window) -> None:
        assert window.client is not None
        with contextlib.suppress(flash_sdk.FlashClientError):  # the window closes all the same
            await window.client.logoff()
            self.deeds["logoffs"] += 1

    async def _visit(self) -> None:
        """Register, get to know somebody, talk, and leave for good."""
        host = self._chance.choice(list(self.residents))
        handle = f"guest-{self.deeds['registrations']}-{self._chance.getrandbits(32):x}"
        self.deeds["registrations"] += 1
        async with FlashClient(self._global_url, pace=PACE) as client:
            guest = Person(self._global_url, await insist(lambda: client.register(handle, PASSWORD)), client)
            self.guests.append(guest)
            await insist(lambda: client.add_contact(host.uid))
            await insist(lambda: host.client.add_contact(guest.uid))
            window = await guest.opens()
            for _ in range(2):
                await guest.insists(host, self.ledger)
                await host.insists(guest, self.ledger)
            await eventually(lambda: len(window.shown) >= 2 and len(window.receipts) >= 2, ARRIVED_S)
            await self._log_off(window)
            await window.die()
            await insist(lambda: host.client.remove_contact(guest.uid))
            await insist(lambda: client.erase_me(PASSWORD))
        self.deeds["erasures"] += 1

    async def _send_nonsense(self) -> None:
        home, who = self._chance.choice(self._home_urls), self._chance.choice(self.residents)
        bearer, number = f"Bearer {who.grant.token}", self._chance.getrandbits(32)
        method, url, token, body = self._chance.choice(
            [
                ("GET", f"{home}/v1/contacts", bearer[:-4] + "AAAA", b""),
                ("POST", f"{home}/v1/messages", bearer, b'{"id": "x", "to": '),
                ("POST", f"{home}/v1/messages", bearer, b'{"id": "x", "to": 999999999, "text": "hello"}'),
                ("POST", f"{home}/v1/back-connection", "Bearer " + "x" * 3_000, b"[" * 5_000),
                ("POST", f"{self._global_url}/v1/tokens", "", b'{"handle": "nobody-%d", "password": "wrong password"}' % number),
                ("GET", f"{home}/no/such/{number}", "y" * 7_000, b""),
                ("GET", f"{self._global_url}/v1/users/{number}", bearer, b"\xff\xfe"),
            ]
        )
        await self._call("bad", method, url, {"Authorization": token}, body)

    async def _ask_the_audit(self) -> None:
        who = self._chance.choice(self.people)
        message = self._chance.choice(self.ledger.accepted).id if self.ledger.accepted else "none"
        pages = ["", f"?user={who.uid}", f"/user?who={who.uid}", f"/trace?message={message}", "/presence", "/homes", "/dead"]
        path = "/ops" + self._chance.choice(pages)
        await self._call("question", "GET", self._global_url + path, {"Cookie": f"flash_ops={self._console_cookie}"}, b"")

    async def _call(self, kind: str, method: str, url: str, headers: dict[str, str], body: bytes) -> None:
        assert self._http is not None
        try:
            async with self._http.request(method, url, headers=headers, data=body, allow_redirects=False) as answer:
                await answer.read()
                self.answers[f"{kind} {answer.status}"] += 1
        except aiohttp.ClientError:  # a server may close a connection whose request it cannot read
            self.answers[f"{kind} closed"] += 1
