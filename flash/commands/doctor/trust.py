"""Examines what other servers believe of this one, and at the Global Server of each home. Rule: look, never change; no identity is made."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from flash.commands.doctor.machine import FAILURE, OK, WARNING, Remark
from flash.commands.servers.registry import entries, losses
from flash.process.compose import store_url
from flash.process.settings import Settings
from servers.encryption.key_tables import existing_table
from servers.messaging.eras import RECORD, on_record
from servers.trust.card import Peers
from servers.trust.certificate import Certificate
from servers.trust.records import Records

SOON_S = 30 * 86_400.0  # it should have renewed itself a month ago


def trust_remarks(settings: Settings, server: str) -> Iterator[Remark]:
    """Examine a server's certificate, and at the Global Server those of the homes."""
    try:
        table = existing_table(settings.keys_url, store_url(settings, server), server)
    except Unavailable as error:
        yield Remark("identity", FAILURE, error.detail, "look at FLASH_KEYS_URL and FLASH_STORE_URL")
        return
    if table is None:
        yield Remark("identity", WARNING, f"{server} has no identity here", "it is made at its first start; after a disaster: restore")
        return
    with closing(table):
        records, now = Records(table), time.time()
        if server == GLOBAL:
            yield from _homes(records, now)
            yield from _streams(records)
        else:
            yield from _home(Peers(server, records), now)


def _home(peers: Peers, now: float) -> Iterator[Remark]:
    name, held = peers.name, peers.held
    again = f"on the Global Server's machine: flash enroll {name}; then start it with FLASH_ENROLL"
    if held is None:
        yield Remark("identity", FAILURE, f"{name} is not enrolled", again)
    elif held.number <= peers.revoked(name):
        yield Remark("identity", FAILURE, f"{name} was revoked: no server believes it", again)
    else:
        yield _certificate(held, now, again)


def _homes(records: Records, now: float) -> Iterator[Remark]:
    found = entries(records, now)
    for entry in found:
        again = f"flash enroll {entry.name}; then start it with FLASH_ENROLL"
        if entry.why == "not enrolled" and entry.secret is None:
            yield Remark("identity", WARNING, f"{entry.name} is not enrolled: no server believes it", again)
        elif entry.card is not None and entry.why != "revoked":
            yield _certificate(entry.card.certificate, now, again)
    for name, loss in losses(records).items():
        do = f"bring its database and its keys back, or let it go on without that: flash servers accept {name}"
        yield Remark("life", FAILURE, f"{name} was set back and waits: {loss}", do)
    if not found:
        yield Remark("identity", OK, "no home is enrolled yet")


def _streams(records: Records) -> Iterator[Remark]:
    """In which era each stream is, which shows whether and when the broker lost it."""
    for stream, era, former in on_record(records.everything(RECORD)):
        since = f"{datetime.fromtimestamp(era / 1_000_000, UTC):%Y-%m-%d %H:%M}"  # an era's number is the moment of its beginning
        lost = f"; the broker lost it in era {former}, and the servers published it again" if former else ""
        yield Remark("eras", OK, f"{stream} is in era {era}, since {since} UTC{lost}")


def _certificate(certificate: Certificate, now: float, again: str) -> Remark:
    name, until = certificate.name, f"{datetime.fromtimestamp(certificate.expires, UTC):%Y-%m-%d}"
    if certificate.expired(now):
        return Remark("identity", FAILURE, f"the certificate of {name} ended on {until}", again)
    if now >= certificate.expires - SOON_S:
        do = f"see whether {name} reaches the Global Server: it should have renewed itself; else {again}"
        return Remark("identity", WARNING, f"the certificate of {name} ends on {until}", do)
    return Remark("identity", OK, f"{name} is certified until {until}")
