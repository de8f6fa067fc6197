"""Compares a server's log with its witnesses. Rule: it only reads, in one pass over the log, however many witnesses there are.

The witnesses are opened before the log: what they know is stored by then, so that a running server never seems to have lost an event.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from domain.events.every import every_event
from domain.events.integrity import LogSealed
from domain.registry.registered_home import GLOBAL
from servers.integrity.findings import Finding, gather
from servers.integrity.witnesses import HistoryWitness, SealWitness, Witness, fingerprint_of
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

    @property
    def honest(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class History:
    """What the history stream has of one server. Feed it with every record, in the order of the stream."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.events = HistoryWitness(PRIVATE.__contains__)
        self.seals: list[tuple[int, bytes]] = []

    def learn(self, position: int, stream: str, version: int, topic: str, data: bytes) -> None:
        """One record of this server."""
        if self.events.learn(position, stream, version, topic, data) and stream == f"log-{self.server}":
            self.seals.append((position, data))

    def witnesses(self) -> list[Witness]:
        """The events themselves, and the seals among them, which know private events as well."""
        whole = bool(self.seals) and self.events.first == 1
        return [self.events, SealWitness("the history's seals", self.server, self.seals, whole=whole)]


def verify(server: str, store_url: str, global_url: str | None = None, history: History | None = None) -> Report:
    """Compare the log of `server` with its own seals, and with the Global Server's copies and the history where they are given.

    Raises `Unavailable` when a store cannot be read, `ValueError` for text that is no URL.
    """
    with ExitStack() as stack:
        witnesses: list[Witness] = history.witnesses() if history else []
        if global_url is not None:
            copies = stack.enter_context(closing(open_view(global_url, GLOBAL)))
            witnesses.append(SealWitness("the Global Server's copies", server, _seals(copies.stream(f"witness-{server}"))))
        log = stack.enter_context(closing(open_view(store_url, server)))
        own = SealWitness("its own seals", server, _seals(log.stream(f"log-{server}")), own=True)
        return _compare(server, log, own, [own, *witnesses])


def _seals(rows: Iterator[Row]) -> Iterator[tuple[int, bytes]]:
    for row in rows:
        yield row.position, row.data


def _compare(server: str, log: LogView, own: SealWitness, witnesses: Sequence[Witness]) -> Report:
    events = last = seals = 0
    for row in log.rows():
        fingerprint = fingerprint_of(row)
        for witness in witnesses:
            witness.see(row, fingerprint)
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
    )
