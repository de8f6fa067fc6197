"""Logged-in clients of one home. Rule: live and replay are one path: a session has a queue of unsent events, and a window.

A session sends its queue while its transport accepts and fewer than `ACK_WINDOW` messages are unacked. For a slow client it keeps only
references to mailbox events, a bounded number of them, and the client delays nobody. Idle sessions own no queue, no window, no timer and no
task. One turn of the event loop sends a session at most `MAX_LAG` events, which takes about 10 ms.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

from domain.events.home import MessageQueued
from domain.mailbox.state import MAX_RECEIPTS, MAX_WAITING, Waiting
from domain.user.decide import MAX_CONTACTS
from runtime.bounds import Bound, Holding
from servers.sessions.part_bodies import Told, part_of, presence_part
from servers.sessions.parts import Outlet, Part
from servers.sessions.route import DirectRoute
from servers.sessions.welcome import Welcome

ACK_WINDOW = 64  # unacked messages per session: a client that stops reading holds at most 64 × 16 KiB of our memory
MAX_LAG = MAX_WAITING + MAX_RECEIPTS + 200  # events queued here; those that another session acked stay queued, and a full mailbox must fit
MAX_BACKLOG = 256  # parts outside the mailbox (done, contacts, status) that wait for a full transport; past that: reconnect
PRESENCE = 50  # people in one part of presence that had to wait: with the longest notes it stays far below the transport's mark
FLUSH = 64  # parts per write: keeps one write below the transport's high-water mark for ordinary texts
QUEUES = Bound(
    name="session_queues",
    holds="what waits for clients that are slow to read: messages, other parts, the newest presence of each contact",
    filled_by="whoever writes to a user, and contacts",
    past="the connection is dropped, and the client comes back and resumes; of presence only the newest is kept",
    within=("Session.queue", "Session.unacked", "Session.senders", "Session.backlog", "Session.late", "Sessions._queueing"),
    entries=MAX_LAG + MAX_BACKLOG + MAX_CONTACTS,
    bytes=MAX_LAG * 17_000 + (MAX_BACKLOG + MAX_CONTACTS) * 1_000,
    per="session",
)


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client says of itself when it opens a back connection."""

    client: str = ""
    pong: bool = False  # the client answers blanks; silence then means that it is dead
    resume_session: str | None = None
    resume_seq: int | None = None  # it has everything up to here


class Session:
    """One logged-in client. `sent`: the last mailbox number handed to the transport."""

    __slots__ = (
        "acked_upto",
        "backlog",
        "closed",
        "id",
        "late",
        "outlet",
        "pong",
        "queue",
        "route",
        "seen_at",
        "senders",
        "sent",
        "slot",
        "uid",
        "unacked",
        "welcome",
    )

    def __init__(self, id: str, uid: int, outlet: Outlet, pong: bool, now: float, sent: int) -> None:
        self.id = id
        self.uid = uid
        self.outlet = outlet
        self.welcome: Welcome | None = None  # while it is being made
        self.pong = pong
        self.seen_at = now  # the client's last sign of life
        self.sent = sent
        self.acked_upto = sent
        self.slot = 0
        self.closed = False
        self.queue: list[Waiting | Part] | None = None
        self.senders: set[int] | None = None  # of messages that are queued, or were since it was last empty: see `Sessions.enqueue`
        self.route: DirectRoute | None = None  # where the client can be called
        self.unacked: deque[int] | None = None
        self.backlog: list[Part] | None = None
        self.late: dict[int, Told] | None = None  # the newest presence of each contact, while the transport is full

    def enqueue(self, events: list[Waiting]) -> None:
        """Send these events as far as transport and window allow, and queue the rest; the list becomes the session's own. The connection of
        a client that is too far behind is dropped; the client comes back and resumes."""
        queue = self.queue
        if queue is None:
            self.queue = queue = cast("list[Waiting | Part]", events)
        else:
            queue += events
        self.wake()
        if len(queue) > MAX_LAG and self.queue is queue:
            self.outlet.abort()

    def drop(self, sender: int) -> None:
        """Take the messages of an erased sender out of the queue."""
        if self.queue:
            self.queue = [e for e in self.queue if not (isinstance(e, MessageQueued) and e.uid == sender)] or None

    def tell_presence(self, changes: list[Told]) -> None:
        """Send changes of presence. While the transport is full only the newest of each person is kept, which is all that matters; so a
        client on a slow line is never cut off for what others do."""
        if self.outlet.writable and not (self.backlog or self.late):
            self.outlet.write((presence_part(changes),))
            return
        late = self.late
        if late is None:
            self.late = late = {}
        for change in changes:
            late[change.uid] = change

    def tell_contacts(self, part: Part, uids: Iterable[int]) -> None:
        """Send a change of the contact list. It says how these contacts stand, or that they are none any more, so what waits is older."""
        if self.late:
            for uid in uids:
                self.late.pop(uid, None)
        self.tell(part)

    def tell(self, part: Part) -> None:
        """Send a part that is not in the mailbox, or keep it while the transport is full."""
        if self.outlet.writable and not (self.backlog or self.late):
            self.outlet.write((part,))
            return
        if self.backlog is None:
            self.backlog = []
        self.backlog.append(part)
        if len(self.backlog) > MAX_BACKLOG:
            self.outlet.abort()

    def tell_in_order(self, part: Part) -> None:
        """Send a part about messages: after the messages that are still queued."""
        if self.queue:
            self.queue.append(part)
        else:
            self.tell(part)

    def wake(self) -> None:
        """Send the backlog and the queue, as far as transport and window allow."""
        if self.closed:
            return
        while self.outlet.writable:
            parts = self._next_parts()
            if not parts:
                return
            self.outlet.write(parts)
            if self.queue is None and self.backlog is None and self.late is None:
                return

    def await_welcome(self, welcome: Welcome) -> None:
        """Keep everything until the welcome is written."""
        self.welcome = self.outlet = welcome

    def welcomed(self) -> None:
        """The welcome is written: send what was kept."""
        if self.welcome is not None:
            self.outlet, self.welcome = self.welcome.outlet, None
            self.wake()

    def resume(self) -> None:
        """The transport accepts again."""
        if self.welcome is not None:
            self.welcome.resume()
        else:
            self.wake()

    def acked(self, upto: int) -> None:
        """The client has everything up to `upto`: the window opens."""
        self.acked_upto = max(self.acked_upto, upto)
        unacked = self.unacked
        if unacked is not None:
            while unacked and unacked[0] <= upto:
                unacked.popleft()
            if not unacked:
                self.unacked = None
        if self.queue:
            self.wake()

    def _next_parts(self) -> Sequence[Part]:
        parts: list[Part] = []
        if self.backlog:
            parts, self.backlog = self.backlog[:FLUSH], self.backlog[FLUSH:] or None
        if self.late is not None and not self.backlog:  # after the contact list, of which it tells
            uids = list(islice(self.late, PRESENCE))
            if uids:
                parts.append(presence_part([self.late.pop(uid) for uid in uids]))
            self.late = self.late or None
        queue, left = self.queue, FLUSH - len(parts)
        if queue is None:
            return parts
        taken = 0
        for event in queue[:left]:
            if type(event) is MessageQueued:
                if self.unacked is None:
                    self.unacked = deque()
                elif len(self.unacked) >= ACK_WINDOW:
                    break
                self.unacked.append(event.seq)
            if isinstance(event, Part):
                parts.append(event)
            else:
                self.sent = event.seq
                parts.append(part_of(event))
            taken += 1
        if taken == len(queue):
            self.queue = None
        else:
            del queue[:taken]
        return parts


class Sessions:
    """Every session of a home, by user and by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        self._by_uid: dict[int, tuple[Session, ...]] = {}
        self._queueing: dict[int, set[Session]] = {}  # a sender -> the sessions in whose queues a message of theirs may be
        self.searched = 0  # sessions whose queues were searched for messages of somebody who left

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_id.values()))

    def holdings(self) -> Iterator[Holding]:
        """What waits for clients that do not read."""
        slow = {session for sessions in self._queueing.values() for session in sessions}
        messages = sum(len(session.queue or ()) for session in slow)
        others = sum(len(each.backlog or ()) + len(each.late or ()) for each in self._by_id.values() if each.backlog or each.late)
        yield QUEUES.holding(messages + others, messages * 17_000 + others * 1_000)

    def add(self, session: Session) -> None:
        """A session begins."""
        self._by_id[session.id] = session
        self._by_uid[session.uid] = (*self._by_uid.get(session.uid, ()), session)

    def remove(self, session: Session) -> bool:
        """A session ends. False when it had ended before."""
        session.closed = True
        self._forget_senders(session)
        if self._by_id.pop(session.id, None) is None:
            return False
        left = tuple(s for s in self._by_uid[session.uid] if s is not session)
        if left:
            self._by_uid[session.uid] = left
        else:
            del self._by_uid[session.uid]
        return True

    def enqueue(self, session: Session, events: list[Waiting]) -> None:
        """Send these events as `Session.enqueue` does, and note from whom the ones are that it must queue."""
        count = len(events)
        session.enqueue(events)
        queue = session.queue
        if queue is None:
            if session.senders is not None:
                self._forget_senders(session)
        elif not session.closed:
            fresh = {event.uid for event in queue[-count:] if isinstance(event, MessageQueued)}
            if session.senders is None:
                session.senders = set()
            for sender in fresh - session.senders:
                self._queueing.setdefault(sender, set()).add(session)
            session.senders |= fresh

    def drop(self, sender: int) -> None:
        """Take the messages of an erased sender out of the queues."""
        for session in self._queueing.pop(sender, ()):
            self.searched += 1
            session.drop(sender)
            if session.senders is not None:
                session.senders.discard(sender)

    def _forget_senders(self, session: Session) -> None:
        for sender in session.senders or ():
            sessions = self._queueing.get(sender, set())
            sessions.discard(session)
            if not sessions:
                self._queueing.pop(sender, None)
        session.senders = None

    def get(self, id: str) -> Session | None:
        """The session with this id, if it is live."""
        return self._by_id.get(id)

    def of(self, uid: int) -> Sequence[Session]:
        """A user's live sessions, oldest first."""
        return self._by_uid.get(uid, ())
