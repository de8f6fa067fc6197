"""A home's client of the Global Server: it announces the home, learns keys and looks users up. Rule: answers are remembered."""

import asyncio
import contextlib
import json
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import structlog

from domain.errors import Unavailable, UnknownUser
from domain.event import Event
from domain.events.global_server import HomeRevoked
from domain.registry.registered_home import GLOBAL
from runtime.background_task import BackgroundTask
from runtime.bounds import Bound, Holding
from servers.home.enrolling import Enrolling
from servers.messaging.cards import Cards
from servers.messaging.private_questions import NotKnownThere
from servers.messaging.questions import Announce, Announced, AskUser, FoundUser, RemoteUser, Requests, ask
from servers.store.event_store import Store
from servers.trust.records import STANDING
from servers.trust.server_identity import NotBelieved
from servers.trust.trust import Trust
from servers.trust.user_words import UserWords

ASK_TIMEOUT_S = 5.0  # a person waits for this
REMEMBERED_USERS = 10_000  # about 3 MB, and 25 when all have the longest names
REMEMBERED = Bound(
    name="remote_users",
    holds="users of other homes, as the Global Server describes them",
    filled_by="users who look for others",
    past="the user who was asked about first is asked about again",
    within=("GlobalClient._users",),
    entries=REMEMBERED_USERS,
    each=2_500,  # a name has at most 500 letters
    cache=True,
)
MOST_REASONS = 100  # that were logged
RETRY_S = 1.0
REFUSED_S = 5.0  # until a person has acted
ANNOUNCE_EVERY_S = 6 * 3_600.0  # a certificate is renewed weeks before its end, so this is early enough

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class GlobalClient:
    """Asks the Global Server. `believe` is called with the public keys of tokens whenever the Global Server has told them. `announced` is
    set once the Global Server knows this home, and this home knows the keys; `believed` is called then, because from now on its
    heartbeats are believed. `sealed` is called with the position up to which the Global Server has seals of this home's log.
    `refused`: why the Global Server does not know this home."""

    requests: Requests
    name: str
    url: str
    keys_file: Path
    believe: Callable[[Any], None]
    store: Store
    trust: Trust
    enrolling: Enrolling
    cards: Cards
    words: UserWords
    sealed: Callable[[int], None]
    believed: Callable[[], None]
    refused: str = field(default="", init=False)
    forgotten: int = field(default=0, init=False)  # users who made room for others
    _users: OrderedDict[int, RemoteUser] = field(default_factory=OrderedDict, init=False)
    _announcing: BackgroundTask = field(default_factory=lambda: BackgroundTask("announce"), init=False)
    _unknown: bool = field(default=False, init=False)  # the Global Server says that this home is not enrolled
    _said: set[str] = field(default_factory=set, init=False)
    _again: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    announced: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def start(self) -> None:
        """Trust the keys of the last run, so that a home starts without the Global Server; then announce."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            self.believe(json.loads(self.keys_file.read_text()))
        self.announce()

    def announce(self) -> None:
        """Tell the Global Server that this home is here, until it has answered: at the start, when the Global Server was restarted, and
        when this home has a new card."""
        if not self._announcing.alive:
            self._announcing.start(self._announce())
        self._again.set()

    async def stop(self) -> None:
        """Announce no more."""
        await self._announcing.stop()

    async def user(self, uid: int) -> RemoteUser:
        """The user `uid`, with their home. Raises `UnknownUser`, `Unavailable`."""
        known = self._users.get(uid)
        if known is None:
            try:
                found = await ask(self.requests, GLOBAL, AskUser(uid), FoundUser, ASK_TIMEOUT_S)
            except msgspec.MsgspecError:
                raise Unavailable("The Global Server's answer is unreadable.") from None
            if found.user is None:
                raise UnknownUser(uid=uid)
            await self.store.run(self.words.load, (uid,))
            if found.word:  # it is sent with the first mail for this user, so that their home knows whose it is
                self._learn(found.word)
            if self.words.another(uid, found.user.handle):
                self.words.twice += not found.word  # one that came was counted
                log.error("home.uid_given_twice", home=self.name, uid=uid)
                raise Unavailable("The Global Server has given this number, or this handle, to two people. Ask its ops.")
            known = self._users[uid] = found.user
            if len(self._users) > REMEMBERED_USERS:
                self._users.popitem(last=False)
                self.forgotten += 1
        return known

    def _learn(self, word: bytes) -> None:
        try:
            self.words.learn(word)
        except NotBelieved as refusal:
            log.error("belief.word_refused", source=GLOBAL, why=str(refusal))

    def forget(self, uid: int) -> None:
        """Ask anew about this user, who left for good."""
        self._users.pop(uid, None)

    def holdings(self) -> Iterator[Holding]:
        """The users who are remembered."""
        yield REMEMBERED.holding(len(self._users), refused=self.forgotten)

    HEARS: ClassVar = (HomeRevoked,)

    def heard(self, event: Event, source: str) -> None:
        """The Global Server has revoked a certificate."""
        if isinstance(event, HomeRevoked) and source == GLOBAL:
            self.trust.peers.revoke(event.name, event.number)

    async def _announce(self) -> None:
        """Announce until it has succeeded, and again now and then: certificates renew themselves by this."""
        while True:
            try:
                if self.enrolling.needed or self._unknown:
                    self._unknown = False
                    await self.enrolling.enrol()
                if self.enrolling.moved:
                    await self.enrolling.allow_own_url()  # where it shares the directory; else the Global Server says what ops must do
                await self._announce_once()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._again.wait(), ANNOUNCE_EVERY_S)
            except Unavailable as error:
                self._unknown = isinstance(error, NotKnownThere)  # perhaps it was revoked, and there is a new secret
                self._say(error.detail)
                await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            except NotBelieved as refusal:
                self._say(str(refusal))
                await asyncio.sleep(REFUSED_S)
            except (msgspec.MsgspecError, KeyError, TypeError, ValueError, OSError) as error:
                log.error("home.announce_failed", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _announce_once(self) -> None:
        self._again.clear()
        own = self.trust
        kept = await asyncio.to_thread(own.records.read, STANDING) or b""
        question = Announce(self.name, self.url, own.card, self.enrolling.life(), kept)
        told = await ask(self.requests, GLOBAL, question, Announced, ASK_TIMEOUT_S)
        for name, number in told.revoked.items():
            own.peers.revoke(name, number)
        if told.refused:
            await asyncio.to_thread(own.peers.save)
            self._unknown = not told.url_refused  # perhaps there is a new secret
            raise NotBelieved(told.refused)
        self.sealed(told.sealed)
        if told.standing:
            await asyncio.to_thread(own.records.put, STANDING, told.standing)
        if told.certificate:
            own.peers.hold(told.certificate)
            self._again.set()  # show it
        if told.card:
            self.cards.learn(told.card)
        await asyncio.to_thread(own.peers.save)
        self.believe(told.keys)  # last, because from now on users may come
        await asyncio.to_thread(self._remember, told.keys)
        self.refused = ""
        self._said.clear()
        self.believed()
        self.announced.set()

    def _say(self, why: str) -> None:
        """Log each reason once, however often it is tried."""
        if why not in self._said:
            log.warning("home.not_announced", home=self.name, why=why)
            if len(self._said) >= MOST_REASONS:
                self._said.clear()
        self._said.add(why)
        self.refused = why

    def _remember(self, keys: Any) -> None:
        self.keys_file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.keys_file.with_suffix(".new")
        fresh.write_text(json.dumps(keys))
        fresh.replace(self.keys_file)
