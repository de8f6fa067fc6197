"""Questions and answers in boxes. Rule: who is asked knows who asks, nobody else can read or answer, and an answer fits one question only.

A question travels as `{"ask": "boxed", "head": [source, destination, nonce, time], "box": …}`, its answer as `{"box": …}`, whose box
is bound to the head of the question. Where no box opens, the answer is `{"refused": why}`, in the clear; a server that is not known yet
then shows its card with the question. In the clear go only questions that prove themselves: for a card, and to be enrolled.
Cost: about 15 µs a question on either side.
"""

import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import structlog
from msgspec import MsgspecError, Struct, msgpack

from broker.port import Broker
from broker.publishers import SINGLE_PROCESS
from domain.errors import Unavailable
from runtime.bounds import Bound, Holding
from runtime.per_minute import LINES_A_MINUTE, PerMinute
from servers.messaging.questions import AskTime, server_of
from servers.trust.box import NOT_OUR_KEY, UNKNOWN_SENDER, UNKNOWN_SENDERS_KEY, CannotOpen, NoCard
from servers.trust.server_identity import NotBelieved
from servers.trust.trust import Trust

QUESTION, ANSWER = "question", "answer"  # the purposes of the boxes
NONCE_BYTES = 16
GOOD_FOR_S = 120.0  # a question is as old as its way through the broker, and clocks differ by 30 s at most
MOST_QUESTION_BYTES = 131_072  # 10,000 numbers of users take 50 KB, and cards a few
MOST_ANSWER_BYTES = 4_000_000  # how a thousand users stand takes some 100 KB, and 3 MB with the longest names and notes
MOST_NONCES = 100_000  # of the questions of the last minutes: about 10 MB
NONCES = Bound(
    name="question_nonces",
    holds="nonces of questions that came in the last minutes, so that none is answered twice",
    filled_by="servers that ask",
    past="the oldest is forgotten",
    within=("PrivateAnswers._nonces",),
    entries=MOST_NONCES,
    each=110,
    cache=True,
)
TRIES = 3  # with what we know of each other; with our card; with a newer card of theirs
OLD = "this question was asked before, or too long ago: do the clocks agree?"
NOT_FOR_US = "this question is for another server"
TOO_LONG = f"this question is longer than {MOST_QUESTION_BYTES} bytes"
ANOTHERS_NAME = "this question names another server than the one whose user of the broker asks"
NOT_UNDERSTOOD = "this question is not understood, or this server may not ask it"

log = structlog.get_logger()


class NotKnownThere(Unavailable):
    """The server that was asked does not know this one."""

    code = "unavailable"


class BoxedQuestion(Struct, frozen=True, tag_field="ask", tag="boxed", omit_defaults=True):
    """A question as it travels. `card`: the asker's, when it may be unknown."""

    head: bytes
    box: bytes
    card: bytes = b""


class BoxedAnswer(Struct, frozen=True, omit_defaults=True):
    """An answer as it travels. `refused`: why there is none; `card`: of who refuses a box for a key that it has no more."""

    box: bytes = b""
    refused: str = ""
    card: bytes = b""


class _Head(Struct, frozen=True, array_like=True):
    source: str
    destination: str
    nonce: bytes
    at: float


@dataclass(slots=True, eq=False)
class PrivateRequests:
    """Asks as one server. `want_card`: learn the card of a server that cannot be asked without; `learn`: take in a card that is shown."""

    broker: Broker
    trust: Trust
    want_card: Callable[[str], None]
    learn: Callable[[bytes], object]

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        """The answer of the server that serves `key`, and of nobody else. Raises `Unavailable`, `msgspec.MsgspecError`."""
        to, card, why = server_of(key), b"", ""
        for _ in range(TRIES):
            head, told = await self._ask(key, to, body, timeout_s, card)
            if told.box:
                try:
                    return self.trust.boxes.open(to, ANSWER, head, told.box)
                except CannotOpen as failure:
                    why = failure.reason
                    break
            why = told.refused or "it refuses"
            if why == NOT_OUR_KEY and told.card:  # it has a newer key than we knew
                self.learn(told.card)
            elif why in (UNKNOWN_SENDER, UNKNOWN_SENDERS_KEY) and not card:
                card = self.trust.card
            else:
                break
        log.warning("questions.not_answered", server=to, why=why)
        self.want_card(to)  # its keys may have changed
        if why == UNKNOWN_SENDER:
            raise NotKnownThere(f"{to} does not know this server: was it enrolled, and not revoked?")
        raise Unavailable(f"{to} gives no answer that can be believed: {why}")

    async def _ask(self, key: str, to: str, body: bytes, timeout_s: float, card: bytes) -> tuple[bytes, BoxedAnswer]:
        """The head of the question, and what came."""
        head = msgpack.encode(_Head(self.trust.name, to, os.urandom(NONCE_BYTES), self.trust.clock()))
        try:
            asked = BoxedQuestion(head, self.trust.boxes.close(to, QUESTION, head, body), card)
        except NoCard:
            self.want_card(to)
            raise
        answer = await self.broker.request(key, msgpack.encode(asked), timeout_s)
        if len(answer) > MOST_ANSWER_BYTES:
            raise Unavailable(f"the answer of {to} has {len(answer)} bytes, more than {MOST_ANSWER_BYTES}")
        return head, msgpack.decode(answer, type=BoxedAnswer)


@dataclass(slots=True, eq=False)
class OpenUntilEnrolled:
    """Asks in the clear before this server is enrolled, and in a box from then on: for a question that must be asked before."""

    private: PrivateRequests

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        """The answer of the server that serves `key`. Raises `Unavailable`, `msgspec.MsgspecError`."""
        via = self.private if self.private.trust.enrolled else self.private.broker
        return await via.request(key, body, timeout_s)


@dataclass(slots=True, eq=False)
class PrivateAnswers:
    """Answers as one server. `handle(source, question)`: the answer to a question of this server; `openly(question)`: to one in the clear;
    `learn`: take in a card; `want_card`: learn the card of a server that asked and is not known."""

    trust: Trust
    handle: Callable[[str, bytes], Awaitable[bytes]]
    openly: Callable[[bytes], Awaitable[bytes]]
    learn: Callable[[bytes], object]
    want_card: Callable[[str], None]
    refused: int = field(default=0, init=False)
    lines: PerMinute = field(default_factory=lambda: PerMinute("refused questions", LINES_A_MINUTE), init=False)
    _nonces: dict[bytes, float] = field(default_factory=dict, init=False)  # of questions that are not too old, oldest first

    async def answer(self, body: bytes, asker: str = SINGLE_PROCESS) -> bytes:
        """The answer to one question, both as they travel. `asker`: the server that the broker says it is. Raises `MsgspecError` for one in
        the clear that is not understood, and `Unavailable`: then no answer is sent."""
        if len(body) > MOST_QUESTION_BYTES:
            return self._refuse(asker, TOO_LONG)
        try:
            asked = msgpack.decode(body, type=BoxedQuestion)
        except MsgspecError:
            return await self.openly(body)
        head = msgpack.decode(asked.head, type=_Head)
        if asker not in (SINGLE_PROCESS, head.source):
            return self._refuse(asker, ANOTHERS_NAME)
        if head.destination != self.trust.name:
            return self._refuse(head.source, NOT_FOR_US)
        if asked.card:
            self.learn(asked.card)
        try:
            question = self.trust.boxes.open(head.source, QUESTION, asked.head, asked.box)
        except CannotOpen as failure:
            self.want_card(head.source)
            return self._refuse(head.source, failure.reason)
        if not self._is_new(head) and not _is_timeless(question):
            return self._refuse(head.source, OLD)
        try:
            answer = await self.handle(head.source, question)
        except (MsgspecError, NotBelieved):
            return self._refuse(head.source, NOT_UNDERSTOOD)
        return msgpack.encode(BoxedAnswer(self.trust.boxes.close(head.source, ANSWER, asked.head, answer)))

    def holdings(self) -> Iterator[Holding]:
        """The nonces."""
        yield NONCES.holding(len(self._nonces))
        yield from self.lines.holdings()

    def _is_new(self, head: _Head) -> bool:
        now = self.trust.clock()
        while self._nonces and (len(self._nonces) >= MOST_NONCES or self._nonces[next(iter(self._nonces))] < now - 2 * GOOD_FOR_S):
            del self._nonces[next(iter(self._nonces))]
        if abs(now - head.at) > GOOD_FOR_S or head.nonce in self._nonces:
            return False
        self._nonces[head.nonce] = now
        return True

    def _refuse(self, source: str, why: str) -> bytes:
        self.refused += 1
        level = log.info if why == UNKNOWN_SENDER else log.warning  # a server that has just come is known in a moment
        if self.lines.takes(source):
            level("questions.refused", source=source, why=why, left_out=self.lines.rest(source))
        return msgpack.encode(BoxedAnswer(refused=why, card=self.trust.card if why == NOT_OUR_KEY else b""))


def _is_timeless(question: bytes) -> bool:
    """Whether a question may be old: the time is asked by a server whose clock is wrong."""
    try:
        msgpack.decode(question, type=AskTime)
    except MsgspecError:
        return False
    return True
