"""With which keys a server may have signed its seals. Rule: the certificates in the Global Server's log say so; nobody else does."""

from contextlib import closing

from domain.events.global_server import CertificateIssued
from domain.registry.registered_home import GLOBAL
from projections.audit.facts import fields_of
from servers.store.databases import open_view
from servers.trust import certificate
from servers.trust.server_identity import NotBelieved


def signers(server: str, global_url: str | None, global_key: bytes) -> set[bytes]:
    """The public keys of a server, by the Global Server's log at `global_url`. None where nobody can tell. Raises `Unavailable`."""
    if not global_key:
        return set()
    if server == GLOBAL:
        return {global_key}
    found: set[bytes] = set()
    if global_url is not None:
        with closing(open_view(global_url, GLOBAL)) as log:
            for row in log.stream(f"home-{server}"):
                if row.topic == CertificateIssued.TOPIC:
                    found |= _key_in(fields_of(row.data).get("certificate"), server, global_key)
    return found


def _key_in(stated: object, server: str, global_key: bytes) -> set[bytes]:
    """The key in a certificate that the Global Server signed; it counts for seals of its time, so its end does not matter here."""
    try:
        read = certificate.read(bytes.fromhex(str(stated)), global_key, 0.0)
    except (NotBelieved, ValueError):
        return set()
    return {read.key} if read.name == server else set()
