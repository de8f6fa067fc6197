"""Lets ops accept that a server's clock was put right after it had been ahead. Rule: it is an event of the log, which everybody can see.

A server that ran with its clock ahead stored events of the future. Once the clock is right, times run backwards at one position, which
`flash audit verify` reports, because a forger's backdated events look the same. Only ops know which of both it was.
"""

import secrets
from contextlib import closing
from dataclasses import dataclass

import msgpack

from domain.event import stored_fields
from domain.events.integrity import ClockCorrected
from projections.audit.facts import fields_of
from servers.encryption.key_tables import open_keys
from servers.integrity.corrections import clock_proof
from servers.maintenance.errors import NotCorrected
from servers.store.databases import open_tables
from servers.store.log.event_log import Row


@dataclass(frozen=True, slots=True)
class Accepted:
    """From the position `first` on, times begin anew; before it they are `ahead_s` ahead. `position`: of the event that says so."""

    first: int
    ahead_s: float
    position: int


def accept_clock(server: str, store_url: str, keys_url: str, first: int | None, now: float) -> Accepted:
    """Store in the log of a stopped server that times begin anew at `first`; None: with the next event. `now`: seconds since 1970. Raises
    `NotCorrected`, `Unavailable`, `ValueError` for text that is no URL."""
    stream = f"clock-{server}"
    with open_tables(store_url, server) as log, closing(open_keys(keys_url, store_url, server)) as keys:
        if (other := log.in_use()) is not None:
            raise NotCorrected(f"{log.name} is in use by {other}; stop the server first")
        newest, after = float("-inf"), None
        last = version = 0
        for row in log.rows():
            last, at = row.position, float(fields_of(row.data).get("at") or 0.0)
            version = row.version if row.stream == stream else version
            if first is None or row.position < first:
                newest = max(newest, at)
            elif after is None:
                after = at
        position = last + 1
        if last == 0 or not 0 < (first or position) <= position:
            raise NotCorrected(f"the log of {server} has the positions 1 to {last}")
        ahead_s = newest - (now if after is None else after)
        if ahead_s <= 0:
            raise NotCorrected(
                f"times before position {first or position} are not ahead of those from there on: there is nothing to accept"
            )
        proof = clock_proof(keys.own(), server, first or position, ahead_s, now)
        cause = f"clock-{secrets.token_hex(8)}"
        event = ClockCorrected(server=server, first=first or position, ahead_s=ahead_s, proof=proof, at=now, cause=cause)
        log.put([Row(position, stream, version + 1, event.TOPIC, msgpack.packb(stored_fields(event)))])
        log.commit()
    return Accepted(event.first, ahead_s, position)
