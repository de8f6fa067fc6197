"""Compares with other servers how far they have our mail, and we have theirs. Rule: the two logs make mail sure, and RabbitMQ makes it
fast: what a broker forgot is sent again, because one end or the other notices that it is missing.

The receiver notices a hole when later mail arrives; the sender asks when something that it addressed a while ago is not known to have been
committed, and when the receiver is heard anew. Between two servers that write to each other the mail itself says it, so nobody asks.
Cost: nothing while nothing is sent; while mail goes one way only, one question in `look_s` for each receiver.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from domain.errors import Unavailable
from runtime.background_task import BackgroundTask, BackgroundTasks
from runtime.per_minute import LINES_A_MINUTE, PerMinute
from servers.messaging.cards import Cards
from servers.messaging.heartbeats import PeerMonitor
from servers.messaging.inbox import Inbox
from servers.messaging.questions import (
    AskCommitted,
    AskEnd,
    MailQuestion,
    Noted,
    Requests,
    SendAgain,
    ToldCommitted,
    ToldEnd,
    ask,
    server_key,
)
from servers.messaging.receivers import Receivers
from servers.trust.box import NOT_OUR_KEY
from servers.trust.server_identity import NotBelieved

MOST_UNOPENED = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MailCheckConfig:
    """How soon missing mail is missed. `look_s`: mail that was addressed so long ago should have arrived, and a receiver that does not know
    of it is asked; twice that passes at most."""

    look_s: float = 5.0
    timeout_s: float = 5.0
    soon_s: float = 1.0  # who asked for mail while nothing could be sent again is looked at so soon; most of it is there by then
    longest_pause_s: float = 60.0  # between two requests to one source for the same mail


@dataclass(slots=True)
class Asked:
    """When a source was asked for missing mail, and from which position on."""

    position: int
    at: float
    pause_s: float


@dataclass(slots=True, eq=False)
class MailCheck:
    """One server's. Its two ends are `receivers`, of our mail, and `inbox`."""

    server: str
    requests: Requests
    receivers: Receivers
    inbox: Inbox
    peers: PeerMonitor
    cards: Cards
    own_log: Callable[[], tuple[int, int]]  # the life of our log, and its end as this process knows it
    end_in_store: Callable[[], Awaitable[int]]  # its end in earnest: another process on the same store may have written to it
    peer_knows: Callable[[str, int], None]  # a server has come further in our log than the log reaches
    config: MailCheckConfig = MailCheckConfig()
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)
    _asked: dict[str, Asked] = field(default_factory=dict, init=False)
    lines: PerMinute = field(default_factory=lambda: PerMinute("unopened mail", LINES_A_MINUTE), init=False)
    _unopened: set[str] = field(default_factory=set, init=False)  # sources whose mail cannot be opened before their card comes
    _connected: bool = field(default=False, init=False)  # at the last look
    ahead: set[str] = field(default_factory=set, init=False)  # servers that say they have come further in our log than it reaches
    _end_asked: dict[str, float] = field(default_factory=dict, init=False)
    _asking: set[str] = field(default_factory=set, init=False)
    _soon: set[str] = field(default_factory=set, init=False)  # receivers that are asked after a short while
    _task: BackgroundTask = field(default_factory=lambda: BackgroundTask("mail-check"), init=False)
    _tasks: BackgroundTasks = field(default_factory=lambda: BackgroundTasks("mail-check.ask"), init=False)

    def start(self) -> None:
        """Begin to look."""
        self._loop = asyncio.get_running_loop()
        self._task.start(self._look_now_and_then())

    def __post_init__(self) -> None:
        self.cards.trust.peers.on_learned.append(self._card_came)

    async def stop(self) -> None:
        """Ask no more. What others are known to have is stored with the outbox's positions."""
        for server, receiver in self.receivers.known.items():
            self.receivers.settle(server, receiver.confirmed)
        await self._task.stop()
        await self._tasks.stop()

    def met(self, server: str) -> None:
        """A server is heard, for the first time or again: it may have lost what it had, or have missed what was sent."""
        self.receivers.reachable(server)
        receiver = self.receivers.known.get(server)
        if receiver is not None and receiver.addressed:
            receiver.noted = receiver.addressed
            self._ask(server)
        self._tasks.start(self._check_end(server))

    def came_before(self, source: str) -> None:
        """A source sent what is committed already: a repeat, or its log was set back and counts anew. Ask it, now and then."""
        now = self.receivers.clock()
        if now >= self._end_asked.get(source, -math.inf) + self.config.look_s:
            self._end_asked[source] = now
            self._tasks.start(self._check_end(source))

    async def _check_end(self, source: str) -> None:
        """Hear whether the log of a source reaches as far as what is committed of it here."""
        position = await self.inbox.progress.of(source)
        if not position:
            return
        try:
            told = await ask(self.requests, server_key(source), AskEnd(self.server, position), ToldEnd, self.config.timeout_s)
        except (Unavailable, msgspec.MsgspecError) as error:  # it is asked again when it is met again, or repeats something
            log.info("mail.source_silent", source=source, error=type(error).__name__)
            return
        if told.end < position and source not in self.inbox.set_back:
            self.inbox.set_back.add(source)
            log.error("mail.source_set_back", source=source, life=told.life, end=told.end, committed=position)
        elif told.end >= position and source in self.inbox.set_back:
            self.inbox.set_back.remove(source)
            log.info("mail.source_is_whole_again", source=source, life=told.life, end=told.end)
            await self._ask_again(source)

    def missing(self, source: str) -> None:
        """Mail came that does not follow on what came before. Ask its source at once, and again with growing pauses."""
        if self.cards.trust.peers.card(source) is None:
            return
        position, now = self.inbox.dedup.position(source), self.receivers.clock()
        asked = self._asked.get(source)
        if asked is None or asked.position != position:
            asked = self._asked[source] = Asked(position, now, self.config.look_s)
            if self.lines.takes(source):
                log.warning("mail.missing", source=source, after=position, left_out=self.lines.rest(source))
        elif now < asked.at + asked.pause_s:
            return
        else:
            asked.at, asked.pause_s = now, min(asked.pause_s * 2, self.config.longest_pause_s)
        self._tasks.start(self._ask_again(source))

    def unopened(self, source: str, why: str) -> None:
        """A box said to be from this source does not open. Nothing more is believed of it: what was in it is asked for again."""
        if why == NOT_OUR_KEY:
            self.missing(source)
            return
        if len(self._unopened) < MOST_UNOPENED:  # anybody may invent names
            self._unopened.add(source)
        self.cards.want(source, newer=True)
        if self.lines.takes(source):
            log.info("mail.unopened", source=source, why=why, left_out=self.lines.rest(source))

    def _card_came(self, server: str) -> None:
        """In whatever thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._may_open, server)

    def _may_open(self, server: str) -> None:
        if server in self._unopened and self.cards.trust.peers.card(server) is not None:
            self._unopened.remove(server)
            self._tasks.start(self._ask_again(server, opens=True))

    async def answer(self, source: str, question: MailQuestion) -> ToldCommitted | ToldEnd | Noted:
        """What the other end of our mail, `source`, is told. Raises `NotBelieved` when it speaks for somebody else, `Unavailable` when only
        the store knows and is away."""
        if question.server != source:
            raise NotBelieved(f"{source} asked about the mail of {question.server}")
        if isinstance(question, AskCommitted):
            return ToldCommitted(await self.inbox.progress.of(question.server), self.inbox.empty)
        life, end = self.own_log()
        if question.position > end:
            end = await self.end_in_store()
        if question.position > end:
            if question.server not in self.ahead:
                log.error("mail.receiver_is_ahead", server=question.server, committed=question.position, end=end)
            self.ahead.add(question.server)
            self.peer_knows(question.server, question.position)
        else:
            self.ahead.discard(question.server)
        if isinstance(question, AskEnd):
            return ToldEnd(life, end)
        self.receivers.confirm(question.server, question.position)
        if question.card:
            self.cards.learn(question.card)
        self._send_again(question)
        return Noted()

    def _send_again(self, question: SendAgain) -> None:
        server, position, receivers = question.server, question.position, self.receivers
        if server not in receivers.known or position >= receivers.of(server).last:
            return
        if not receivers.lacks(server, position, "the receiver asked for it", anew=question.opens):
            self._ask_soon(server)  # it may be missing something that is under way, and it asks only once

    async def _look_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self.config.look_s)
            await self._end_old_mail()
            for source in self._unopened:  # nobody may have shown its newer card for long
                self.cards.want(source, newer=True)
            for source in list(self.inbox.set_back):
                self._tasks.start(self._check_end(source))
            for server, receiver in list(self.receivers.known.items()):
                if receiver.confirmed < receiver.noted and receiver.behind is None and self.peers.is_up(server):
                    self._ask(server)
                receiver.noted = receiver.addressed
                self.receivers.settle(server, receiver.confirmed)

    async def _end_old_mail(self) -> None:
        """Mail of version 1 waited while this server was upgraded. Once the inbox was emptied it is read no more."""
        was_connected, self._connected = self._connected, self.cards.broker.connected
        if self.inbox.reader.takes_old_mail and was_connected and self._connected and self.inbox.empty:
            await self.inbox.reader.end_old_mail()

    def _ask(self, server: str) -> None:
        if server not in self._asking:
            self._asking.add(server)
            self._tasks.start(self._compare(server))

    def _ask_soon(self, server: str) -> None:
        if server not in self._soon:
            self._soon.add(server)
            self._tasks.start(self._compare_soon(server))

    async def _compare_soon(self, server: str) -> None:
        try:
            await asyncio.sleep(self.config.soon_s)
        finally:
            self._soon.discard(server)
        receiver = self.receivers.of(server)
        receiver.noted = receiver.addressed
        self._ask(server)

    async def _compare(self, server: str) -> None:
        """Ask a receiver how far it has come. What was addressed a while ago and is not there, though its inbox is empty, was lost."""
        receiver = self.receivers.of(server)
        due = receiver.noted
        try:
            told = await ask(self.requests, server_key(server), AskCommitted(self.server), ToldCommitted, self.config.timeout_s)
        except (Unavailable, msgspec.MsgspecError) as error:  # it is asked again at the next look
            log.info("mail.receiver_silent", server=server, error=type(error).__name__)
            return
        finally:
            self._asking.discard(server)
        self.receivers.confirm(server, told.position)
        if told.empty and told.position < due:
            self.receivers.lacks(server, told.position, "the receiver does not have it")

    async def _ask_again(self, source: str, opens: bool = False) -> None:
        question = SendAgain(self.server, await self.inbox.progress.of(source), self.cards.trust.card, opens)
        try:
            await ask(self.requests, server_key(source), question, Noted, self.config.timeout_s)
        except (Unavailable, msgspec.MsgspecError) as error:  # it compares with us as soon as it is here again
            log.info("mail.source_silent", source=source, error=type(error).__name__)
