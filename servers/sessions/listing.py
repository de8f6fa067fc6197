"""A contact list of any length as JSON, in slices. Rule: a slice shows how its contacts stand at the moment when it is made.

Slices are steps of a job of the list's user, so that a thousand long lists keep nobody else waiting.
"""

from collections.abc import Callable, Sequence

from domain.user.state import Contact
from projections.server.presence import Presence
from runtime.deferred import Deferred
from runtime.scheduler import Job, Jobs, Steps
from servers.sessions.part_bodies import contact_view, encode

SLICE = 50  # contacts in one step: some 0.15 ms
SHORT = 250  # contacts: a list up to here is one answer with a length, and a longer one is sent as the transport drains
SHORT_BYTES = 65_536  # and so is one of more bytes, because names differ: 250 contacts have 30 KB as a rule, and 700 KB at most
Shown = Callable[[int, str], Presence]  # (uid, home) -> what a contacter is shown


def encoded(entries: Sequence[tuple[Contact, Presence]]) -> bytes:
    """Contacts as JSON with commas in between, without the brackets around."""
    return encode([contact_view(contact, presence) for contact, presence in entries])[1:-1]


class Listing:
    """The answer to `GET /v1/contacts`. `uid`: whose list it is."""

    def __init__(self, uid: int, contacts: Sequence[Contact], shown: Shown, scheduler: Jobs) -> None:
        self._uid = uid
        self._contacts = contacts
        self._shown = shown
        self._scheduler = scheduler

    async def whole(self) -> bytes | None:
        """The JSON of a short list; None for one that is to be sent."""
        if len(self._contacts) > SHORT:
            return None
        return await self._scheduler.run(self._uid, "contacts", self._short_steps())

    def send(self, write: Callable[[bytes], object], drained: Callable[[], Deferred[None] | None]) -> Job[None]:
        """Write the JSON piece by piece. `drained`: None while the transport takes more, else what is done when it does."""
        return self._scheduler.start(self._uid, "contacts", self._steps(write, drained))

    def _short_steps(self) -> Steps[bytes | None]:
        pieces: list[bytes] = []
        size = 0

        def keep(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            pieces.append(piece)

        for _ in self._steps(keep, lambda: None):
            if size > SHORT_BYTES:
                return None
            yield None
        return b"".join(pieces) if size <= SHORT_BYTES else None

    def _steps(self, write: Callable[[bytes], object], drained: Callable[[], Deferred[None] | None]) -> Steps[None]:
        write(b'{"contacts":[')
        for start in range(0, len(self._contacts), SLICE):
            if start:
                yield None
            while (waits := drained()) is not None:
                yield waits
            slice_ = self._contacts[start : start + SLICE]
            piece = encoded([(contact, self._shown(contact.uid, contact.home)) for contact in slice_])
            write(piece if start == 0 else b"," + piece)
        write(b"]}")
