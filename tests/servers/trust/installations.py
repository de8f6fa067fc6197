"""A Global Server and homes that know each other, without a broker. Rule: the clock is the test's."""

from pathlib import Path

from servers.encryption.key_tables import SqliteKeys
from servers.trust import certificate
from servers.trust.box import Boxes
from servers.trust.box_keys import BoxKeys
from servers.trust.card import Peers, card_bytes
from servers.trust.records import IDENTITY, Records
from servers.trust.server_identity import ServerIdentity, new_key

NOW = 1_700_000_000.0
DAY_S = 86_400.0


class Time:
    """What every server's clock shows."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Member:
    """One server of an installation."""

    def __init__(self, name: str, file: Path, time: Time) -> None:
        self.time, self.file = time, file
        self.table = SqliteKeys(file)
        self.records = Records(self.table)
        self.identity = ServerIdentity(name, self.records.first(IDENTITY, new_key))
        self.box_keys = BoxKeys(self.identity, self.records, time)
        self.peers = Peers(name, self.records, time)
        self.boxes = Boxes(self.identity, self.box_keys, self.peers)

    def enrolled_by(self, registry: "Member") -> "Member":
        """Hold a certificate of the Global Server."""
        self.peers.pin(registry.identity.public)
        name = self.identity.name
        self.peers.hold(
            certificate.issue(
                registry.identity, name=name, urls=(f"https://{name}",), key=self.identity.public, life=1,
                after=0 if self.peers.held is None else self.peers.held.number, now=self.time(),
            )
        )  # fmt: skip
        self.peers.save()
        return self

    @property
    def card(self) -> bytes:
        """What this server shows."""
        return card_bytes(self.peers.certificate, self.box_keys.statements)

    def restarted(self) -> "Member":
        """The same server in a new process."""
        self.table.close()
        return Member(self.identity.name, self.file, self.time)


class Installation:
    """A Global Server, h1 and h2, who have seen each other's cards; and h3, who is enrolled and knows nobody."""

    def __init__(self, directory: Path) -> None:
        self.time = Time()
        self.registry = Member("global", directory / "global.db", self.time)
        self.registry.enrolled_by(self.registry)
        self.h1, self.h2, self.h3 = (
            Member(name, directory / f"{name}.db", self.time).enrolled_by(self.registry) for name in ("h1", "h2", "h3")
        )
        for one in (self.h1, self.h2):
            for other in (self.registry, self.h1, self.h2):
                one.peers.learn(other.card)

    def close(self) -> None:
        """Close the tables."""
        for one in (self.registry, self.h1, self.h2, self.h3):
            one.table.close()
