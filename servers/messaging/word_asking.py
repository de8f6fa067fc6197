"""Asks the Global Server for words of users. Rule: nobody waits here; what is wanted is asked for in the background, and mail that
needs it is sent again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import structlog
from msgspec import MsgspecError

from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from runtime.background_task import BackgroundTask
from runtime.bounds import Bound, Holding
from servers.messaging.questions import MOST_WORDS, AskWords, Requests, ToldWords, ask
from servers.store.event_store import Store
from servers.trust.server_identity import NotBelieved
from servers.trust.user_words import UserWords

ASK_TIMEOUT_S = 5.0
RETRY_S = 1.0
MOST_WANTED = 50_000  # a home that is new to words asks for those of all its users; more than that are asked for later
NOBODY_S = 60.0  # a number that nobody has may be given to somebody
MOST_NOBODIES = 10_000  # numbers may be invented by whoever sends mail
WANTED = Bound(
    name="words_wanted",
    holds="users whose words the Global Server is asked for",
    filled_by="servers that send mail about users",
    past="the newest is not asked for, and the mail that needs it is sent again later",
    within=("WordAsking._wanted",),
    entries=MOST_WANTED,
    each=65,
)
NOBODIES = Bound(
    name="nobodies",
    holds="numbers of users that the Global Server did not know a minute ago",
    filled_by="servers that send mail about users",
    past="the number that was asked for first is asked for again",
    within=("Nobodies._since",),
    entries=MOST_NOBODIES,
    each=130,
    cache=True,
)

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class WordAsking:
    """One home's. `learned` is called when words came that were wanted. `nobodies`: numbers that the Global Server did not know a moment
    ago."""

    requests: Requests
    store: Store
    words: UserWords
    monotonic: Callable[[], float]
    learned: Callable[[], None] = lambda: None
    retry_s: float = RETRY_S
    not_believed: int = field(default=0, init=False)
    put_off: int = field(default=0, init=False)  # words that were not asked for, because too many were
    nobodies: "Nobodies" = field(init=False)
    _wanted: dict[int, None] = field(default_factory=dict, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _task: BackgroundTask = field(default_factory=lambda: BackgroundTask("words"), init=False)

    def __post_init__(self) -> None:
        self.nobodies = Nobodies(self.monotonic)

    def start(self) -> None:
        """Begin to ask."""
        self._task.start(self._ask())

    async def stop(self) -> None:
        """Ask no more."""
        await self._task.stop()

    def want(self, uids: Iterable[int]) -> None:
        """Learn the words of these users, as soon as the table or the Global Server can say them. Say it as often as you like."""
        for uid in uids:
            if len(self._wanted) < MOST_WANTED or uid in self._wanted:
                self._wanted.setdefault(uid)
            else:
                self.put_off += 1
        self._wake.set()

    def holdings(self) -> Iterator[Holding]:
        """What is asked for, and what nobody knows."""
        yield WANTED.holding(len(self._wanted), refused=self.put_off)
        yield from self.nobodies.holdings()

    async def stored(self, uids: Collection[int]) -> dict[int, bytes]:
        """The words of those of these users whose words are known here. Raises `Unavailable`."""
        known = self.words.known
        if any(uid not in known for uid in uids):
            await self.store.run(self.words.load, uids)
        return {uid: known[uid].word for uid in uids if uid in known}

    async def _ask(self) -> None:
        while True:
            if not self._wanted:
                await self._wake.wait()
            self._wake.clear()
            some = list(islice(self._wanted, MOST_WORDS))
            try:
                await self.store.run(self.words.load, some)
                missing = [uid for uid in some if uid not in self.words.known]
                if missing:
                    self._learn(await ask(self.requests, GLOBAL, AskWords(missing), ToldWords, ASK_TIMEOUT_S))
                    await self.store.run(self.words.save)
            except Unavailable:
                await asyncio.sleep(self.retry_s)
                continue
            except MsgspecError:
                log.error("belief.answer_unreadable")
                await asyncio.sleep(self.retry_s)
                continue
            for uid in some:
                self._wanted.pop(uid, None)
            self.learned()

    def _learn(self, told: ToldWords) -> None:
        for word in told.words:
            try:
                self.words.learn(word)
            except NotBelieved as refusal:
                self.not_believed += 1
                log.error("belief.word_refused", source=GLOBAL, why=str(refusal))
        self.nobodies.add(told.nobodies)


class Nobodies:
    """Numbers that no user had a moment ago."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: OrderedDict[int, float] = OrderedDict()
        self._forgotten = 0

    def add(self, uids: Collection[int]) -> None:
        """Nobody has these numbers now."""
        now = self._monotonic()
        self._since.update(dict.fromkeys(uids, now))
        while len(self._since) > MOST_NOBODIES:
            self._since.popitem(last=False)
            self._forgotten += 1

    def holdings(self) -> Iterator[Holding]:
        """The numbers."""
        yield NOBODIES.holding(len(self._since), refused=self._forgotten)

    def __contains__(self, uid: object) -> bool:
        since = self._since.get(uid) if isinstance(uid, int) else None
        return since is not None and self._monotonic() < since + NOBODY_S

    def __iter__(self) -> Iterator[int]:
        return iter(self._since)
