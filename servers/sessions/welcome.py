"""The part `welcome`, made of a contact list of any length. Rule: in slices, and what comes meanwhile is sent behind it, once and in order.

The list is the one of the login's commit. Each contact's presence is the one of the moment of its slice, so a change of presence before
that moment is in the welcome and is not told again: `holds` says so. A change behind it, and every change of the list, waits in the
session, because the welcome takes the place of the session's outlet and is not writable.

A long welcome is never in memory as a whole: first its length is found, then it is encoded again and sent as the transport drains.
"""

from collections.abc import Callable, Collection, Sequence
from itertools import islice

from domain.user.state import Contact
from projections.server.presence import Presence
from runtime.deferred import Deferred
from runtime.scheduler import Job, Jobs, Steps
from servers.sessions import views
from servers.sessions.listing import SLICE, Shown, encoded
from servers.sessions.part_bodies import encode
from servers.sessions.parts import Outlet, Part

MAX_KEPT_BYTES = 65_536  # of an encoded list: some 500 contacts. A longer one is encoded twice, because a user has twenty sessions
NO_CONTACTS = b'"contacts":['


class Welcome:
    """Stands in the place of a session's outlet until the welcome is written; `done` puts the outlet back."""

    writable = False  # so the session keeps what it is told

    def __init__(self, outlet: Outlet, head: views.Welcome, contacts: dict[int, Contact], shown: Shown, done: Callable[[], None]) -> None:
        """`head`: the welcome without its contacts; `contacts`: the welcome's own copy of the list."""
        self.outlet = outlet
        self.begun: Deferred[None] = Deferred()  # done when the welcome is written, or waits until its client has read some of it
        self._before, _, self._after = encode(head).partition(NO_CONTACTS)
        self._unmade = contacts
        self._fixed: dict[int, Presence] = {}  # how those stood of whom the session was told something that stands behind the welcome
        self._shown = shown
        self._done = done
        self._drained: Deferred[None] | None = None
        self._sending = False
        self._job: Job[None] | None = None

    def start(self, scheduler: Jobs, uid: int) -> None:
        """Make it, in turn with everybody else's work."""
        self._job = scheduler.start(uid, "welcome", self._steps())
        self._job.add_done_callback(self._ended)

    def holds(self, uid: int) -> bool:
        """Whether the welcome will show how this contact stands now, so that the session need not be told."""
        return uid in self._unmade and uid not in self._fixed

    def told(self, uids: Collection[int]) -> None:
        """The session is told of these contacts: the welcome shows how they stand now, and what comes of them later stands behind it."""
        for uid in uids:
            if self.holds(uid):
                self._fixed[uid] = self._shown(uid, self._unmade[uid].home)

    def resume(self) -> None:
        """The transport accepts again."""
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.set_result(None)

    def _steps(self) -> Steps[None]:
        listed: list[tuple[Contact, Presence]] = []
        pieces: list[bytes] = []
        size = 0
        while self._unmade:
            fresh = [self._unmade.pop(uid) for uid in list(islice(self._unmade, SLICE))]
            entries = [(contact, self._fixed.get(contact.uid) or self._shown(contact.uid, contact.home)) for contact in fresh]
            listed += entries
            piece = encoded(entries)
            size += len(piece) + bool(size)
            if size <= MAX_KEPT_BYTES:
                pieces.append(piece)
            else:
                pieces.clear()
            if self._unmade:
                yield None
        if size <= MAX_KEPT_BYTES:
            body = b"%b%b%b%b" % (self._before, NO_CONTACTS, b",".join(pieces), self._after)
            self.outlet.write((Part("welcome", body),))
        else:
            yield from self._send(listed, size)
        self._done()

    def _send(self, listed: Sequence[tuple[Contact, Presence]], size: int) -> Steps[None]:
        self._sending = True
        outlet, before = self.outlet, self._before + NO_CONTACTS
        outlet.begin_part("welcome", len(before) + size + len(self._after))
        outlet.write_body(before)
        for start in range(0, len(listed), SLICE):
            while not outlet.writable:
                self._drained = Deferred()
                if not self.begun.done:
                    self.begun.set_result(None)
                yield self._drained
            piece = encoded(listed[start : start + SLICE])
            outlet.write_body(piece if start == 0 else b"," + piece)
            yield None
        outlet.write_body(self._after)

    def _ended(self, job: Deferred[None]) -> None:
        if job.exception is not None:
            self.outlet.abort()
        if not self.begun.done:
            self.begun.set_result(None)

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
        if not self.begun.done:
            self.begun.set_result(None)

    # -- the outlet ------------------------------------------------------------------------------------------------------

    def write(self, parts: Sequence[Part]) -> None:
        """Only a goodbye comes here, because nobody writes otherwise to what is not writable. It takes the welcome's place, unless some of
        that is sent: then the stream breaks off."""
        self._cancel()
        if self._sending:
            self.outlet.abort()
        else:
            self.outlet.write(parts)

    def begin_part(self, name: str, size: int) -> None:
        """No part comes before the welcome."""
        raise NotImplementedError

    def write_body(self, data: bytes) -> None:
        """No part comes before the welcome."""
        raise NotImplementedError

    def close(self) -> None:
        """End the response: there will be no welcome."""
        self._cancel()
        self.outlet.close()

    def abort(self) -> None:
        """Drop the connection: there will be no welcome."""
        self._cancel()
        self.outlet.abort()
