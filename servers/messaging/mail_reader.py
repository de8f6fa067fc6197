"""Reads what another server sent. Rule: it is input: whatever the bytes, the answer says what is in them and what is wrong with them."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import structlog

from broker import envelope, mail
from broker.envelope import MAX_INTEGER, EventRecord
from broker.port import Delivery
from broker.topology import RETURNED_HEADER
from domain.errors import Malformed, Unavailable
from domain.event import Event
from domain.rules.sources import CLAIMS
from runtime.scheduler import Steps, at_once
from servers.fairness.load import ONE_IN, Load
from servers.messaging.belief import Belief, WordsNeeded
from servers.messaging.dedup import Arrived
from servers.messaging.inbox_parts import MailListener
from servers.store.event_store import Store
from servers.trust.box import ANOTHER_LIFE, NOT_OUR_KEY, UNKNOWN_SENDER, UNKNOWN_SENDERS_KEY, CannotOpen
from servers.trust.trust import Trust

log = structlog.get_logger()

NOTHING = Arrived("", ())
LONG_BYTES = 32_768  # of a delivery: a longer one is read in turn with everybody else's long work
EVENTS_A_STEP = 20  # some 0.4 ms to decode and to judge them
UNREAD_A_STEP = 200  # words, some 0.5 ms to look for them
WORDS_A_STEP = 10  # some 1 ms to check their signatures
NEVER_REACHED = MAX_INTEGER  # what follows on this follows on nothing: it is a hole, and comes again
COMES_AGAIN = frozenset((NOT_OUR_KEY, UNKNOWN_SENDER, UNKNOWN_SENDERS_KEY, ANOTHER_LIFE))  # its source has it, and closes it once more


@dataclass(slots=True)
class Incoming:
    """A delivery, read. `fault`: why it becomes a dead letter although its readable events are applied; `again`: it ends what was sent
    again; `unopened`: who is said to have sent it, and why its box does not open, though it may when it is sent again; `needed`: the users
    whose words must be had first, so that for now nothing of it is believed."""

    delivery: Delivery
    arrived: Arrived
    fault: str | None
    again: bool = False
    unopened: tuple[str, str] | None = None
    needed: Collection[int] = ()


@dataclass(slots=True, eq=False)
class MailReader:
    """`speaks_for(publisher, source)` says whether what somebody published may be of a source."""

    store: Store
    trust: Trust
    listener: MailListener
    speaks_for: Callable[[str | None, str], bool]
    belief: Belief
    load: Load = field(default_factory=Load)
    _next_sample: int = field(default=0, init=False)

    def source_of(self, delivery: Delivery) -> str:
        """Who sent a delivery, as far as it can be said before it is read; who published it, where that one may not say so."""
        try:
            source = mail.decode(delivery.body)[0].source if delivery.body.startswith(mail.BEGINNINGS) else ""
        except Malformed:
            source = ""
        return source if source and self.speaks_for(delivery.publisher, source) else delivery.publisher or ""

    def read(self, delivery: Delivery) -> Incoming:
        """Every readable event of a delivery, at once. Raises `Unavailable` while the keys of this server cannot be had."""
        return at_once(self.steps(delivery))

    def measured(self, delivery: Delivery) -> Incoming:
        """The same; one delivery in `ONE_IN` is noted with its bytes and what it took to read it."""
        self._next_sample -= 1
        if self._next_sample >= 0:
            return self.read(delivery)
        self._next_sample = random.randrange(2 * ONE_IN)  # noqa: S311 - a sample, no secret
        began = time.perf_counter()
        incoming = self.read(delivery)
        cpu_s = time.perf_counter() - began
        self.load.note(home=incoming.arrived.source, cpu_s=cpu_s, size=len(delivery.body), times=ONE_IN)
        return incoming

    def steps(self, delivery: Delivery) -> Steps[Incoming]:
        """The same in small steps. Raises `Unavailable`."""
        body = delivery.body
        try:
            return (yield from self._mail(delivery, body) if body.startswith(mail.BEGINNINGS) else self._envelope(delivery, body))
        except Malformed as error:
            return Incoming(delivery, NOTHING, error.detail)

    async def words_are_stored(self, incoming: Incoming) -> bool:
        """Read the words that a delivery needs from the table. Whether it is worth to read the delivery again."""
        try:
            await self.store.run(self.belief.words.load, incoming.needed)
        except Unavailable as error:
            log.warning("inbox.store_away", detail=error.detail)
            return False
        return True

    def want_words(self, incoming: Incoming) -> None:
        """The stored words did not suffice: the delivery stays a hole, and its source sends it again with all words."""
        log.info("inbox.words_needed", source=incoming.arrived.source, users=len(incoming.needed))
        self.belief.want(incoming.needed)

    async def read_later(self, delivery: Delivery, reason: Unavailable, retry_s: float, tried: Callable[[], None]) -> Incoming:
        """Read a delivery as soon as the transit key can be had: without the key good mail looks like junk. `tried`: called each time."""
        while True:
            log.warning("inbox.key_away", detail=reason.detail)
            tried()
            await asyncio.sleep(retry_s)
            try:
                return await self.store.run(self.read, delivery)  # in the store's thread: a database that is away may take its time
            except Unavailable as error:
                reason = error

    @property
    def takes_old_mail(self) -> bool:
        """Whether mail of version 1 is still read."""
        return self.store.transit_key != 0

    async def end_old_mail(self) -> None:
        """Read no mail of version 1 any more, for good."""
        try:
            await self.store.run(self.store.end_old_mail)
        except Unavailable as error:
            log.warning("inbox.store_away", detail=error.detail)
        else:
            log.info("inbox.old_mail_ended")

    async def keep_words(self) -> None:
        """Store the words that came with mail before what they prove is applied."""
        try:
            await self.store.run(self.belief.words.save)
        except Unavailable as error:  # they are stored with the next mail, or come again
            log.warning("inbox.store_away", detail=error.detail)

    def _mail(self, delivery: Delivery, body: bytes) -> Steps[Incoming]:
        head, packed, box, card = mail.decode(body)
        if head.source.startswith("@") or head.source == self.trust.name:
            return Incoming(delivery, NOTHING, f"{head.source!r} is no other server")
        if RETURNED_HEADER not in delivery.headers and not self.speaks_for(delivery.publisher, head.source):
            return Incoming(delivery, NOTHING, _not_believed(delivery.publisher, head.source))
        if head.destination != self.trust.name:
            return Incoming(delivery, NOTHING, f"this is mail for {head.destination!r}")
        try:
            try:
                opened = self.trust.boxes.open(head.source, mail.PURPOSE, packed, box, head.source_life)
            except CannotOpen as failure:
                if not card or failure.reason not in (UNKNOWN_SENDER, UNKNOWN_SENDERS_KEY) or not self.listener.card(card, head.source):
                    raise
                opened = self.trust.boxes.open(head.source, mail.PURPOSE, packed, box, head.source_life)
            told = mail.decode_body(opened)
            if len(opened) > LONG_BYTES:
                yield None
        except CannotOpen as failure:
            if failure.reason in COMES_AGAIN:
                return Incoming(delivery, NOTHING, None, unopened=(head.source, failure.reason))
            return Incoming(delivery, NOTHING, f"the box of mail from {head.source!r} does not open: {failure.reason}")
        if not all(head.previous < record.position <= head.last for record in told.records):
            return Incoming(delivery, NOTHING, f"the mail of {head.source!r} holds events that its head does not name")
        if told.life == self.store.life:
            receiver = self.listener.receivers.get(head.source)
            if receiver is None or told.committed > receiver.addressed:
                self.listener.told(head.source, told.committed)
            elif told.committed > receiver.confirmed:
                receiver.confirmed = told.committed
        if told.words:
            unread: list[int] = []
            for start in range(0, len(told.words), UNREAD_A_STEP):
                if start:
                    yield None
                unread += self.belief.unread(told.words[start : start + UNREAD_A_STEP])
            if unread:
                return Incoming(delivery, Arrived(head.source, (), NEVER_REACHED, head.last), None, needed=unread)
            for start in range(0, len(told.words), WORDS_A_STEP):
                if start:
                    yield None
                self.belief.learn(head.source, told.words[start : start + WORDS_A_STEP])
        try:
            events, fault = yield from self._events(head.source, told.records, self.belief)
        except WordsNeeded as needed:
            return Incoming(delivery, Arrived(head.source, (), NEVER_REACHED, head.last), None, needed=needed.uids)
        return Incoming(delivery, Arrived(head.source, events, head.previous, head.last), fault, head.again)

    def _envelope(self, delivery: Delivery, body: bytes) -> Steps[Incoming]:
        """Mail of version 1, which waited while this server was upgraded. The servers that sent it named no publisher."""
        told = envelope.decode(body)
        if told.source.startswith("@"):  # positions under such names are not an inbox's
            return Incoming(delivery, NOTHING, f"{told.source!r} is no server")
        if delivery.publisher is not None and not self.speaks_for(delivery.publisher, told.source):  # old servers name no publisher
            return Incoming(delivery, NOTHING, _not_believed(delivery.publisher, told.source))
        if not self.takes_old_mail:
            return Incoming(delivery, NOTHING, f"mail of version 1, said to be from {told.source!r}, came after the upgrade")
        events, fault = yield from self._events(told.source, told.events, None)
        return Incoming(delivery, Arrived(told.source, events), fault)

    def _events(
        self, source: str, records: Sequence[EventRecord], belief: Belief | None
    ) -> Steps[tuple[list[tuple[int, Event | None]], str | None]]:
        """The events, None for one that is unreadable or not believed, and what is wrong with the last such one. Raises `WordsNeeded`."""
        events: list[tuple[int, Event | None]] = []
        needed: set[int] = set()
        fault: str | None = None
        for number, record in enumerate(records):
            if number % EVENTS_A_STEP == EVENTS_A_STEP - 1:
                yield None
            event, wrong = None, None
            if belief is not None and (source, record.topic, record.stream) not in belief.believed:
                wrong = belief.stream_fault(record.topic, record.stream, source)
            if wrong is None:
                try:
                    event = self.store.codec.decode(record.stream, record.version, record.topic, record.data, strict=True)
                    if belief is not None:
                        claims = claimed(event) if (claimed := CLAIMS.get(type(event))) is not None else ()
                        if (source, claims) not in belief.believed or claims[0] not in belief.words.known:
                            wrong = belief.fault(event, source)
                except Unavailable:  # the key is missing, and the next try may find it
                    raise
                except WordsNeeded as more:
                    needed.update(more.uids)
                except Exception as error:  # whatever it is, the bytes are another server's
                    fault = f"event {record.topic!r} at {record.position} of {source!r} is unreadable ({type(error).__name__})"
            if wrong is not None:
                event = None
                fault = f"event {record.topic!r} at {record.position} of {source!r} is not believed: {wrong}"
            events.append((record.position, event))
        if needed:
            raise WordsNeeded(needed)
        return events, fault


def _not_believed(publisher: str | None, source: str) -> str:
    who = "nobody says who published it" if publisher is None else f"the broker's user {publisher!r} published it"
    return f"it claims to be of {source!r}, but {who}"
