"""Learns the cards of other servers, and shows our own. Rule: a card is asked for when something cannot be said or heard without it, of the
server itself and else of the Global Server; it proves itself, so the question goes in the clear.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog
from msgspec import MsgspecError

from broker.port import Broker
from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from runtime.background_task import BackgroundTask
from runtime.bounds import Bound, Holding
from runtime.per_minute import LINES_A_MINUTE, PerMinute
from servers.messaging.questions import AskCard, ToldCard, ask, home_key
from servers.trust.server_identity import NotBelieved
from servers.trust.trust import Trust

ASK_TIMEOUT_S = 2.0
SOMEBODY = "somebody"  # who sent a card outside of mail: whoever asks or answers in the clear
MOST_WANTED = 1_000  # names may be invented by whoever sends mail
MAX_NAME_CHARS = 64  # a server's name has 32 at most; a longer one is nobody's
WANTED = Bound(
    name="cards_wanted",
    holds="names of servers whose cards are asked for, or were not believed a moment ago",
    filled_by="servers that send mail, ask, or tell of others",
    past="the newest name is not asked for",
    within=("Cards._wanted", "Cards._newer", "Cards._not_before"),
    entries=3 * MOST_WANTED,
    each=400,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CardsConfig:
    """How often cards are looked after. `retry_s`: between two questions for a card that nobody had; `give_up_after`: so many of them;
    `look_s`: how late a key is changed; `refresh_s`: how late a change is noticed that nothing else told;
    `refused_s`: a server whose card was not believed, such as a revoked one, is asked again after this."""

    retry_s: float = 2.0
    give_up_after: int = 30
    look_s: float = 60.0
    refresh_s: float = 86_400.0
    refused_s: float = 60.0


@dataclass(slots=True, eq=False)
class Cards:
    """One server's cards. `changed`: called when there is a new card of ours to show."""

    broker: Broker
    trust: Trust
    monotonic: Callable[[], float]
    changed: Callable[[], None] = lambda: None
    config: CardsConfig = field(default_factory=CardsConfig)
    learned: int = field(default=0, init=False)
    not_believed: int = field(default=0, init=False)
    put_off: int = field(default=0, init=False)  # names that were not asked for: too many are, or it is no name
    lines: PerMinute = field(default_factory=lambda: PerMinute("cards that are not believed", LINES_A_MINUTE), init=False)
    _wanted: dict[str, int] = field(default_factory=dict, init=False)  # how often each was asked for
    _newer: set[str] = field(default_factory=set, init=False)  # those of the wanted whose card is known and does not suffice
    _not_before: dict[str, float] = field(default_factory=dict, init=False)  # of servers whose cards were not believed
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _asking: BackgroundTask = field(default_factory=lambda: BackgroundTask("cards"), init=False)
    _looking: BackgroundTask = field(default_factory=lambda: BackgroundTask("trust"), init=False)
    _refreshed: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.trust.peers.on_learned.append(self._newer.discard)

    def start(self) -> None:
        """Begin to ask."""
        self._refreshed = self.monotonic()
        self._asking.start(self._ask())
        self._looking.start(self._look_after())

    async def stop(self) -> None:
        """Ask no more, and store what was learned."""
        await self._asking.stop()
        await self._looking.stop()
        try:
            await asyncio.to_thread(self.trust.peers.save)
        except Unavailable as error:
            log.warning("trust.not_saved", detail=error.detail)

    def want(self, name: str, *, newer: bool = False) -> None:
        """Learn the card of `name` as soon as somebody shows it. Cheap; say it as often as you like. `newer`: the known one does not
        suffice, as when a server goes on in another life and is certified anew in a moment."""
        if len(name) > MAX_NAME_CHARS:
            self.put_off += 1
            return
        if newer and len(self._newer) < MOST_WANTED:
            self._newer.add(name)
        if name in self._wanted or name == self.trust.name:
            return
        if len(self._wanted) >= MOST_WANTED:
            self.put_off += 1
            return
        if self.monotonic() >= self._not_before.get(name, 0.0):
            self._wanted[name] = 0
            self._wake.set()

    def holdings(self) -> Iterator[Holding]:
        """The names."""
        yield WANTED.holding(len(self._wanted) + len(self._newer) + len(self._not_before), refused=self.put_off)
        yield from self.lines.holdings()

    def learn(self, raw: bytes, source: str = SOMEBODY) -> bool:
        """Believe a card that proves itself. One that does not is counted and logged, by who sent it. Whether it is believed."""
        try:
            if self.trust.peers.learn(raw):
                self.learned += 1
        except NotBelieved as refusal:
            self.not_believed += 1
            if self.lines.takes(source):
                log.error("trust.card_not_believed", source=source, why=str(refusal), left_out=self.lines.rest(source))
            return False
        return True

    def shown(self, question: AskCard) -> ToldCard:
        """The card that was asked for: our own, or any that we know."""
        if question.name == self.trust.name:
            return ToldCard(self.trust.card)
        card = self.trust.peers.card(question.name)
        return ToldCard(b"" if card is None else card.raw)

    async def _ask(self) -> None:
        while True:
            if not self._wanted:
                await self._wake.wait()
            self._wake.clear()
            if self.trust.peers.global_key:
                await asyncio.gather(*(self._ask_for(name) for name in list(self._wanted)))
            if self._wanted:
                await asyncio.sleep(self.config.retry_s)

    async def _ask_for(self, name: str) -> None:
        """Ask the server itself, and where it does not answer the Global Server, which may know an older one."""
        asked = self._wanted.get(name, 0) + 1
        for key in dict.fromkeys((GLOBAL if name == GLOBAL else home_key(name), GLOBAL)):
            try:
                told = await ask(self.broker, key, AskCard(name), ToldCard, ASK_TIMEOUT_S)
            except (Unavailable, MsgspecError):
                continue
            if told.card:
                learned = self.learned
                believed = self.learn(told.card)
                if believed and name in self._newer and self.learned == learned:
                    continue  # it is the old one
                self._wanted.pop(name, None)
                if believed:
                    self._not_before.pop(name, None)
                elif len(self._not_before) < MOST_WANTED:
                    self._not_before[name] = self.monotonic() + self.config.refused_s
                return
        if asked >= self.config.give_up_after:
            log.warning("trust.card_not_found", server=name)
            self._wanted.pop(name, None)
            self._newer.discard(name)
        elif name in self._wanted:
            self._wanted[name] = asked

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(self.config.look_s)
            try:
                shown = self.trust.card
                self.trust.take(await asyncio.to_thread(self.trust.look_after))
                if self.trust.card != shown:
                    self.changed()
            except Unavailable as error:
                log.warning("trust.not_saved", detail=error.detail)
            if self.monotonic() >= self._refreshed + self.config.refresh_s:
                self._refreshed = self.monotonic()
                for name in self.trust.peers.known:
                    self.want(name)
