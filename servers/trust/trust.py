"""All that one server has to speak for itself and to believe others. Rule: it is read from the trust records when the server is put
together, so that a server which knows its peers needs nobody to go on.
"""

import time
from collections.abc import Callable, Mapping

from servers.trust import certificate
from servers.trust.box import Boxes
from servers.trust.box_keys import BoxKeys
from servers.trust.card import Peers, card_bytes
from servers.trust.records import IDENTITY, Records, RecordTable
from servers.trust.server_identity import ServerIdentity, new_key


def have_new_box_key(server: str, table: RecordTable, now: float) -> None:
    """Change the box key of a server whose records were put back from an older copy: others may close boxes for a key that it has no more.
    Nothing happens where there is no identity yet. `now`: seconds since 1970. Blocks. Raises `Unavailable`."""
    if IDENTITY in table.records(IDENTITY):
        Trust(server, table, lambda: now).box_keys.rotate()


class Trust:
    """A server's identity, box keys, peers and boxes, over one table of records."""

    def __init__(self, name: str, table: RecordTable, clock: Callable[[], float] = time.time) -> None:
        """Blocks. The identity and the first box key are made where there are none. Raises `Unavailable`."""
        self.name = name
        self.clock = clock
        self.records = Records(table)
        self.identity = ServerIdentity(name, self.records.first(IDENTITY, new_key))
        self.box_keys = BoxKeys(self.identity, self.records, clock)
        self.peers = Peers(name, self.records, clock)
        self.boxes = Boxes(self.identity, self.box_keys, self.peers)

    @property
    def enrolled(self) -> bool:
        """Whether the Global Server has certified the key that this server has, for this time."""
        held = self.peers.held
        return held is not None and held.key == self.identity.public and not held.expired(self.clock())

    @property
    def card(self) -> bytes:
        """What this server shows of itself; empty before enrolment."""
        return card_bytes(self.peers.certificate, self.box_keys.statements) if self.peers.certificate else b""

    def read(self) -> dict[str, bytes]:
        """What is stored now, because another process of this server may have changed it; `take` believes it. Blocks. Raises
        `Unavailable`."""
        self.box_keys.load()
        return self.records.everything()

    def take(self, stored: Mapping[str, bytes]) -> None:
        """Believe what `read` or `look_after` has read. On the loop, because others are told of new cards."""
        self.peers.take(stored)

    def look_after(self) -> dict[str, bytes]:
        """Store what was learned, and change a box key that is a week old; the Global Server renews its own certificate. What is stored
        then is for `take`. Blocks. Raises `Unavailable`."""
        held = self.peers.held
        if held is not None and self.peers.global_key == self.identity.public:
            self.certify_itself(held.urls)
        self.peers.save()
        self.box_keys.load()
        if self.box_keys.due:
            self.box_keys.rotate()
        return self.records.everything()

    def certify_itself(self, urls: tuple[str, ...] = (), life: int | None = None) -> None:
        """Be the Global Server: pin our own key, and hold our own certificate of it. `life`: of the log; None: what the certificate says
        already, because a start knows it only when it has looked at the log. Blocks. Raises `Unavailable`."""
        self.peers.pin(self.identity.public)
        held, now = self.peers.held, self.clock()
        if life is None:
            life = 0 if held is None else held.life
        if held is None or held.ageing(now) or (held.urls, held.life) != (urls, life):
            after = 0 if held is None else held.number
            self.peers.hold(
                certificate.issue(self.identity, name=self.name, urls=urls, key=self.identity.public, life=life, after=after, now=now)
            )
            self.peers.save()
