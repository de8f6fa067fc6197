"""The Global Server's records, for commands on its machine. Rule: none are made where there are none, because a command that was typed in
the wrong place would begin an installation of its own.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from msgspec import msgpack

from domain.registry.registered_home import GLOBAL
from flash.process.compose import store_url
from flash.process.settings import BadSetting, Settings
from servers.encryption.key_tables import existing_table, open_table
from servers.trust.card import Card, read_card
from servers.trust.enrolment import OpenSecret, read_open_secret
from servers.trust.records import CARD, ENROLMENT, GLOBAL_KEY, HOMES, LOSS, REVOKED, Records
from servers.trust.server_identity import NotBelieved


@dataclass(frozen=True, slots=True)
class ServerEntry:
    """A server as the Global Server's records have it. `card` is None where none was issued; `why` says why it is not believed; `secret`:
    one that was not used yet."""

    name: str
    card: Card | None
    why: str
    secret: OpenSecret | None

    @property
    def believed(self) -> bool:
        """Whether others believe it."""
        return self.card is not None and not self.why


@contextmanager
def registry(settings: Settings, *, begin: bool = False) -> Iterator[Records]:
    """The Global Server's records; with `begin` they are made where there are none. Raises `BadSetting`, `Unavailable`."""
    url = store_url(settings, GLOBAL)
    keys = settings.keys_url
    table = open_table(keys, url, GLOBAL) if begin else existing_table(keys, url, GLOBAL)
    if table is None:
        raise BadSetting("the Global Server's keys are not here: type this on its machine, with its settings, after its first start")
    with closing(table):
        yield Records(table)


def entries(records: Records, now: float) -> list[ServerEntry]:
    """The servers that the Global Server has certified, or has a secret for, by name."""
    stored = records.everything()
    key, revoked = stored.get(GLOBAL_KEY, b""), msgpack.decode(stored.get(REVOKED, b"\x80"), type=dict[str, int])
    homes = msgpack.decode(stored.get(HOMES, b"\x80"), type=dict[str, str])
    names = {record.partition(" ")[2] for record in stored if record.startswith((CARD, ENROLMENT))} | {*revoked, *homes}
    return [_entry(name, stored, key, revoked.get(name, 0), now) for name in sorted(names, key=lambda name: (len(name), name))]


def losses(records: Records) -> dict[str, str]:
    """What servers have lost that were set back and wait for the ops, by name."""
    return {name.removeprefix(LOSS): stored.decode() for name, stored in sorted(records.everything(LOSS).items())}


def _entry(name: str, stored: dict[str, bytes], key: bytes, revoked: int, now: float) -> ServerEntry:
    secret = read_open_secret(stored[ENROLMENT + name]) if ENROLMENT + name in stored else None
    if secret is not None and (secret.used_by or 0 < secret.expires <= now):
        secret = None
    why = "revoked" if revoked else "not enrolled"
    card: Card | None = None
    if CARD + name in stored:
        try:
            card = read_card(stored[CARD + name], key, 0.0)
            why = "revoked" if card.certificate.number <= revoked else "expired" if card.certificate.expired(now) else ""
        except NotBelieved as refusal:
            why = str(refusal)
    return ServerEntry(name, card, why, secret)
