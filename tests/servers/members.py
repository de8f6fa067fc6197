"""Servers whose certificates tests make, all of one Global Server that is not there. Rule: what they prove, they prove with real keys."""

from collections.abc import Callable, Sequence
from typing import Any

from broker import mail
from broker.envelope import EventRecord
from broker.mail import PURPOSE, Body, Head
from domain.event import stream_kind
from domain.registry.registered_home import GLOBAL
from domain.rules.sources import OF_THE_HOME
from servers.trust import certificate
from servers.trust.records import RecordTable
from servers.trust.server_identity import ServerIdentity
from servers.trust.trust import Trust
from servers.trust.user_words import user_word
from tests.servers.strangers import RecordsInMemory

NOW = 1_700_000_000.0
REGISTRY = ServerIdentity(GLOBAL, b"g" * 32)


def certified(
    name: str, table: RecordTable, life: int = 1, clock: Callable[[], float] = lambda: NOW, registry: ServerIdentity = REGISTRY
) -> Trust:
    """A server that is enrolled at the Global Server whose identity is `registry`."""
    trust = Trust(name, table, clock)
    trust.peers.pin(registry.public)
    held = trust.peers.held
    if held is None or held.life != life:
        trust.peers.hold(
            certificate.issue(
                registry, name=name, urls=(f"https://{name}",), key=trust.identity.public, life=life,
                after=0 if held is None else held.number, now=clock(),
            )
        )  # fmt: skip
        trust.peers.save()
    return trust


HANDLES = {"7": "gus", "9": "ida"}  # of the users of correspondents, by uid; anybody else is Ann


class Correspondent:
    """A server that sends mail, and is nothing more."""

    def __init__(self, name: str, *receivers: Trust, life: int = 1) -> None:
        """It and the receivers know each other."""
        self.name, self.life = name, life
        self.trust = certified(name, RecordsInMemory(), life)
        for receiver in receivers:
            self.meets(receiver)

    def meets(self, receiver: Trust) -> None:
        """Each has the other's card."""
        self.trust.peers.learn(receiver.card)
        receiver.peers.learn(self.trust.card)

    def mail(self, to: str, records: Sequence[EventRecord], **options: Any) -> bytes:
        """As `mail_from`, with a word for each user in whose stream something is: they live here, under their `HANDLES`."""
        uids = {record.stream.partition("-")[2] for record in records if stream_kind(record.stream) in OF_THE_HOME}
        words = [user_word(REGISTRY, int(uid), HANDLES.get(uid, "ann"), self.name) for uid in sorted(uids) if uid.isdecimal()]
        return mail_from(self.trust, to, records, **{"life": self.life, "words": words, **options})


def mail_from(
    sender: Trust, to: str, records: Sequence[EventRecord], *, previous: int = 0, last: int | None = None, life: int = 1,
    committed: int = 0, again: bool = False, source: str | None = None, words: Sequence[bytes] = (),
) -> bytes:  # fmt: skip
    """A mail as it travels; unless told otherwise it says that nothing came before it."""
    last = last if last is not None else records[-1].position
    card = sender.peers.card(to)
    assert card is not None
    topics = sorted({record.topic for record in records})
    head = mail.encode_head(Head(source or sender.name, to, life, card.certificate.life, previous, last, again, topics))
    body = mail.encode_body(Body(records, card.certificate.life, committed, words))
    return mail.encode(head, sender.boxes.close(to, PURPOSE, head, body))
