"""Compares a server's log with its witnesses. Rule: it only reads, in one pass over the log, however many witnesses there are.

The witnesses are opened before the log: what they know is stored by then, so that a running server never seems to have lost an event.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from broker.history import Publication
from domain.errors import Unavailable
from domain.events.every import every_event
from domain.events.integrity import LogSealed
from domain.registry.registered_home import GLOBAL
from projections.audit.facts import fields_of
from servers.encryption.key_tables import KeysSeen
from servers.integrity.corrections import corrections
from servers.integrity.findings import NEVER_MERGED, Finding, gather
from servers.integrity.key_count import KeyCount
from servers.integrity.residents import Residents, StreamOwners
from servers.integrity.shortcuts import forged_checkpoints, forged_snapshots
from servers.integrity.times import TimeOrder
from servers.integrity.witnesses import Fault, HistoryWitness, SealWitness, Witness, fingerprint_of
from servers.store.databases import open_view
from servers.store.log.event_log import LogView, Row

PRIVATE = {kind.TOPIC for kind in every_event() if kind.PRIVATE}


@dataclass(frozen=True, slots=True)
class Asked:
    """A witness that was asked: how many seals (of the history: events) it compared, and the last position that it knows."""

    name: str
    checked: int
    last: int


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict. `sealed`: the last position under a seal of the log's own; `unsealed`: events after it, of which `seals` are seals."""

    server: str
    events: int
    last: int
    sealed: int
    unsealed: int
    seals: int
    witnesses: list[Asked]
    findings: list[Finding]
    more: int  # differences that were only counted
    not_asked: list[str] = field(default_factory=list)  # what could not be looked at, and why

    @property
    def honest(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class History:
    """What the history stream has of one server. Feed it with every publication, in the order of the stream."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.events = HistoryWitness(PRIVATE.__contains__)
        self.seals: list[tuple[int, bytes]] = []

    def learn(self, position: int, stream: str, version: int, topic: str, data: bytes, time: float | None = None) -> None:
        """One record of this server; `time`: as it stands outside the stored bytes."""
        if self.events.learn(position, stream, version, topic, data, time) and stream == f"log-{self.server}":
            self.seals.append((position, data))

    def hear(self, told: Publication) -> None:
        """A publication of this server that is believed."""
        after, last = (told.head.after, told.head.last) if told.head is not None else (self.events.last, self.events.last)
        for record in told.events:
            self.learn(record.position, record.stream, record.version, record.topic, record.data, record.time)
            last = max(last, record.position)
        self.events.cover(after, last)

    def hear_altered(self, told: Publication) -> None:
        """A publication in this server's name whose signature does not fit."""
        self.hear(told)
        positions = [record.position for record in told.events] or [0]
        what = "the history's message with them was not signed by the server"
        self.events.faults.append(Fault(Finding("altered", positions[0], positions[-1], {self.events.name}, what=what)))

    def witnesses(self, signers: Collection[bytes] = ()) -> list[Witness]:
        """The events themselves, and the seals among them, which know private events as well."""
        self.events.settle()
        self.seals.sort()
        whole = bool(self.seals) and self.events.first == 1
        return [self.events, SealWitness("the history's seals", self.server, self.seals, whole=whole, keys=signers)]


class Checks:
    """What can be asked of a log without a witness of its events. `residents`: who lives where; `keys`: looks at the server's keys, and
    raises `Unavailable` where nobody may; `checkpoints`: files. Made after the log's moment was fixed: whatever the log holds has its key
    by now."""

    def __init__(
        self, server: str, log: LogView, residents: Residents, keys: Callable[[], KeysSeen] | None, checkpoints: Sequence[Path]
    ) -> None:
        self._log = log
        self._checkpoints = checkpoints
        self.not_asked: list[str] = []
        seen: KeysSeen | None = None
        try:
            seen = None if keys is None else keys()
        except Unavailable as error:
            self.not_asked.append(f"the keys ({error.detail})")
        else:
            self.not_asked += [] if seen else ["the keys"]
        if not residents.complete:
            self.not_asked.append("users whom the history does not name" if residents.homes else "the Global Server's users")
        self._own = seen and seen.own
        self._times = TimeOrder(corrections(server, log.stream(f"clock-{server}"), self._own))
        self._streams = StreamOwners(server, residents)
        self._count = KeyCount(seen and seen.destroyed)

    def see(self, row: Row) -> None:
        """The next row. Whoever tampered may have put anything anywhere."""
        if all(map(isinstance, row, (int, str, int, str, bytes))):
            fields = fields_of(row.data)
            self._times.see(row, fields)
            self._streams.see(row, fields)
            self._count.see(row, fields)

    def findings(self, sealed: int) -> list[Finding]:
        """What was found. `sealed`: everything up to here is sealed."""
        return [*self._times.findings(), *self._streams.findings(), *self._count.findings(sealed), *self._shortcuts()]

    def _shortcuts(self) -> Iterator[Finding]:
        if self._own is not None:
            yield from forged_snapshots(self._log, self._own)
            yield from forged_checkpoints(self._checkpoints, self._own)


def verify(
    server: str,
    store_url: str,
    global_url: str | None = None,
    history: History | None = None,
    *,
    residents: Residents | None = None,
    keys: Callable[[], KeysSeen] | None = None,
    checkpoints: Sequence[Path] = (),
    signers: Collection[bytes] = (),
) -> Report:
    """Compare the log of `server` with its own seals, with the Global Server's copies and the history where they are given, and with what
    `Checks` asks. `checkpoints`: the files of the server's projections; `signers`: the server's public keys, with which
    it signs its seals.

    Raises `Unavailable` when a store cannot be read, `ValueError` for text that is no URL.
    """
    with ExitStack() as stack:
        witnesses: list[Witness] = history.witnesses(signers) if history else []
        residents = residents or Residents(global_url if server != GLOBAL else store_url)
        residents.read()
        if global_url is not None:
            copies = stack.enter_context(closing(open_view(global_url, GLOBAL)))
            witnesses.append(SealWitness("the Global Server's copies", server, _seals(copies.stream(f"witness-{server}")), keys=signers))
        log = stack.enter_context(closing(open_view(store_url, server)))
        checks = Checks(server, log, residents, keys, checkpoints)
        own = SealWitness("its own seals", server, _seals(log.stream(f"log-{server}")), own=True, keys=signers)
        return _compare(server, log, own, [own, *witnesses], checks)


def _seals(rows: Iterator[Row]) -> Iterator[tuple[int, bytes]]:
    for row in rows:
        yield row.position, row.data


def _compare(server: str, log: LogView, own: SealWitness, witnesses: Sequence[Witness], checks: Checks) -> Report:
    events = last = seals = 0
    for row in log.rows():
        fingerprint = fingerprint_of(row)
        for witness in witnesses:
            witness.see(row, fingerprint)
        checks.see(row)
        events += 1
        last = row.position
        if own.unwitnessed and row.topic == LogSealed.TOPIC:
            seals += 1
    for witness in witnesses:
        witness.finish()
    found: list[Finding] = []
    for witness in witnesses:
        if witness.differences:
            found.extend(witness.differences.findings(witness.name, witness.unwitnessed.by_mark(), last))
    wrong = {position for finding in found for position in (finding.position, finding.was)}
    for witness in witnesses:
        found.extend(f.finding for f in witness.faults if not any(f.start <= p <= f.end for p in wrong if p is not None))
    known = {position for finding in found for position in range(finding.position, finding.to + 1)}
    found.extend(finding for finding in checks.findings(own.last) if finding.kind in NEVER_MERGED or finding.position not in known)
    if own.unsigned:
        checks.not_asked.append(f"the signatures of {own.unsigned} seals, which are of before servers signed them")
    lacking = sum(witness.lacking for witness in witnesses if isinstance(witness, HistoryWitness))
    if lacking:
        checks.not_asked.append(f"the history about {lacking} events: the history lacks them until it is filled again")
    return Report(
        server,
        events,
        last,
        own.last,
        len(own.unwitnessed),
        seals,
        [Asked(witness.name, witness.checked, witness.last) for witness in witnesses],
        gather(found),
        sum(witness.differences.more for witness in witnesses),
        checks.not_asked,
    )
