"""Who published what in the history. Rule: a publication counts when its server signed it, the Global Server stated that server's key, and
the broker's user who published it speaks for that server.

A reader needs the Global Server's key only, because each publication carries the certificate of its server. A reader without that key takes
the one in the Global Server's first publication, and believes the broker's users alone until then.
Cost: a signature for each publication, 60 µs and 1 µs for each event; a check of one, 150 µs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgpack
import structlog

from broker import history
from broker.envelope import EventRecord
from broker.history import Head, Publication
from broker.port import StreamItem
from broker.publishers import SINGLE_PROCESS
from domain.errors import Malformed, Unavailable
from domain.events.global_server import HomeRevoked
from domain.registry.registered_home import GLOBAL
from runtime.per_minute import LINES_A_MINUTE, PerMinute
from servers.trust import certificate
from servers.trust.certificate import Certificate
from servers.trust.server_identity import NotBelieved, read_unproven, verify
from servers.trust.trust import Trust

PURPOSE = "history"
SEAL = "seal"  # the purpose of the signature under a seal of the log
SKEW_S = 60.0  # clocks of two servers differ by 30 s at most
SpeaksFor = Callable[[str | None, str], bool]

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class HistorySigner:
    """Signs what one server publishes to the history."""

    trust: Trust
    clock: Callable[[], float] = time.time

    def publication(self, era: int, life: tuple[int, int, int], after: int, last: int, events: "list[EventRecord] | tuple[()]") -> bytes:
        """Every event of the log in (`after`, `last`] that may leave it. `life`: of the log, the one before it, and up to where both agree.
        Raises `Unavailable` before the server is enrolled, because nobody would believe it."""
        shown = self.trust.peers.certificate
        if not shown:
            raise Unavailable("This server is not enrolled yet, so nobody would believe what it publishes.")
        head = Head(era=era, life=life[0], former=life[1], agreed=life[2], after=after, last=last, at=self.clock(), certificate=shown)
        return history.encode(self.trust.name, head, events, lambda signed: self.trust.identity.sign(PURPOSE, signed))


class Altered(NotBelieved):
    """A publication whose signature does not fit: it was changed after it was signed, or is by somebody who has the broker's user only."""

    def __init__(self, told: Publication) -> None:
        super().__init__(f"the signature is not of {told.source}")
        self.told = told


def anybody(publisher: str | None, server: str) -> bool:
    """The rule of a broker that is one process: whoever could write there is the same."""
    return publisher == SINGLE_PROCESS


class HistoryJudge:
    """Reads the history for one reader, in the order of the stream. `global_key`: the Global Server's; empty where it is not known.
    `speaks_for`: as `broker.port.Broker.speaks_for`. `begun`: whether the history's first era has begun, after which nothing without a
    signature counts."""

    def __init__(self, global_key: bytes = b"", speaks_for: SpeaksFor = anybody, *, begun: bool = False) -> None:
        self.global_key = global_key
        self.key_is_told = bool(global_key)  # by somebody else than the history itself
        self.begun = begun
        self.era = 0  # that the Global Server's last publication names
        self.unsigned = 0  # publications of before the first era
        self.unproven = 0  # signed publications that nobody could check, because the Global Server's key was not known yet
        self.refused = 0
        self.speaks_for = speaks_for
        self._read: dict[bytes, Certificate] = {}
        self._revoked: dict[str, int] = {}
        self._lines = PerMinute("refused publications", LINES_A_MINUTE)

    def read(self, item: StreamItem) -> Publication:
        """What an item of the stream tells. Raises `Malformed`, `NotBelieved`; both are counted and logged."""
        try:
            told = history.decode(item.body)
            self._judge(told, item.publisher)
        except Malformed as error:
            self.refused += 1
            self._say("history.unreadable", item, error.detail)
            raise
        except NotBelieved as refusal:
            self.refused += 1
            self._say("history.not_believed", item, str(refusal))
            raise
        if told.source == GLOBAL and told.head is not None:
            self.begun, self.era = True, told.head.era
            for record in told.events:
                if record.topic == HomeRevoked.TOPIC:
                    self._revoke(record)
        return told

    def _say(self, what: str, item: StreamItem, why: str) -> None:
        who = item.publisher or ""
        if self._lines.takes(who):
            log.warning(what, offset=item.offset, publisher=item.publisher, why=why, left_out=self._lines.rest(who))

    def keys_of(self, server: str) -> set[bytes]:
        """The keys that the certificates in the history state of a server."""
        own = {self.global_key} if server == GLOBAL and self.global_key else set()
        return own | {stated.key for stated in self._read.values() if stated.name == server}

    def _judge(self, told: Publication, publisher: str | None) -> None:
        source, head = told.source, told.head
        if head is None:
            if self.begun:
                raise NotBelieved(f"{source} signed nothing, and the history's first era has begun")
            if publisher is not None and not self.speaks_for(publisher, source):
                raise NotBelieved(f"the broker's user {publisher!r} published in the name of {source}")
            self.unsigned += 1
            return
        if not self.speaks_for(publisher, source):
            raise NotBelieved(f"the broker's user {publisher!r} published in the name of {source}")
        if not self.global_key and source != GLOBAL:
            self.unproven += 1
            return
        stated = self._certificate(source, head)
        if not verify(stated.key, PURPOSE, told.signed, told.signature):
            raise Altered(told)
        if any(record.time > head.at + SKEW_S for record in told.events):
            raise NotBelieved(f"{source} published an event before it happened")

    def _certificate(self, source: str, head: Head) -> Certificate:
        """The certificate that a publication carries, which was good when it was published."""
        if not self.global_key and source == GLOBAL:
            self.global_key = read_unproven(head.certificate, Certificate).key
            self.begun = True
        stated = self._read.get(head.certificate)
        if stated is None:
            stated = self._read[head.certificate] = certificate.read(head.certificate, self.global_key, head.at)
        if stated.name != source or stated.expired(head.at):
            raise NotBelieved(f"the certificate is not one of {source} at that time")
        if source == GLOBAL and stated.key != self.global_key:
            raise NotBelieved("the Global Server has another key")
        if stated.number <= self._revoked.get(source, 0):
            raise NotBelieved(f"the certificate of {source} was revoked")
        return stated

    def _revoke(self, record: EventRecord) -> None:
        try:
            fields = msgpack.unpackb(record.data, strict_map_key=False)
            name, number = fields["name"], fields["number"]
        except (ValueError, TypeError, KeyError, msgpack.UnpackException):
            return
        if isinstance(name, str) and isinstance(number, int):
            self._revoked[name] = max(number, self._revoked.get(name, 0))
