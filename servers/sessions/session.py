"""One logged-in client. Rule: what was just committed is sent as it is at hand, and everything else is read from the log.

A session sends while its transport accepts and fewer than `ACK_WINDOW` messages are unacked. Of what must wait it keeps numbers only, a
bounded number of them: where in the log it lies. It is read a page at a time when it can be sent. So a slow client costs no text and delays
nobody. Idle sessions own no queue, no window, no timer and no task.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice

import structlog

from domain.errors import Unavailable
from domain.events.home import MessageQueued
from domain.mailbox.state import MAX_RECEIPTS, MAX_WAITING, Waiting, WaitingMessage
from domain.user.decide import MAX_CONTACTS
from runtime.bounds import Bound
from runtime.deferred import Deferred
from servers.sessions.pages import MAX_PAGE_BYTES, Pages
from servers.sessions.part_bodies import Told, part_of, presence_part
from servers.sessions.parts import Outlet, Part
from servers.sessions.route import DirectRoute
from servers.sessions.welcome import Welcome
from servers.store.event_store import Committed

ACK_WINDOW = 64  # unacked messages per session: a client that stops reading holds at most 64 × 16 KiB of our memory
MAX_LAG = MAX_WAITING + MAX_RECEIPTS + 200  # numbers queued here; those that another session acked stay queued, and a full mailbox must fit
MAX_BACKLOG = 256  # parts outside the mailbox (done, contacts, status) that wait for a full transport; past that: reconnect
PRESENCE = 50  # people in one part of presence that had to wait: with the longest notes it stays far below the transport's mark
FLUSH = 64  # parts per write, events per page: keeps one write below the transport's high-water mark for ordinary texts
QUEUES = Bound(
    name="session_queues",
    holds="what waits for clients that are slow to read: numbers of messages, a page of them, other parts, the newest presence of contacts",
    filled_by="whoever writes to a user, and contacts",
    past="the connection is dropped, and the client comes back and resumes; of presence only the newest is kept",
    within=("Session.queue", "Session.page", "Session.unacked", "Session.backlog", "Session.late"),
    entries=MAX_LAG + MAX_BACKLOG + MAX_CONTACTS,
    bytes=MAX_LAG * 40 + (MAX_BACKLOG + MAX_CONTACTS) * 1_000 + MAX_PAGE_BYTES + 17_000,
    per="session",
)

log = structlog.get_logger()


class Session:
    """One logged-in client. `sent`: the last mailbox number handed to the transport."""

    __slots__ = (
        "acked_upto",
        "backlog",
        "closed",
        "id",
        "late",
        "outlet",
        "page",
        "pages",
        "pong",
        "queue",
        "route",
        "seen_at",
        "sent",
        "slot",
        "uid",
        "unacked",
        "welcome",
    )

    def __init__(self, id: str, uid: int, outlet: Outlet, pong: bool, now: float, sent: int, pages: Pages) -> None:
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
        self.queue: list[int | Part] | None = None  # positions in the log, those of receipts below zero; parts that stand behind them
        self.pages = pages
        self.page: Deferred[list[Committed]] | None = None  # the first of the queue, while they are read
        self.route: DirectRoute | None = None  # where the client can be called
        self.unacked: deque[int] | None = None
        self.backlog: list[Part] | None = None
        self.late: dict[int, Told] | None = None  # the newest presence of each contact, while the transport is full

    def begin(self, waiting: Iterable[Waiting]) -> None:
        """The session begins with what waits in the mailbox."""
        self.queue = [each.position if type(each) is WaitingMessage else -each.position for each in waiting] or None

    def enqueue(self, fresh: Sequence[Committed]) -> None:
        """Send what was just committed as far as transport and window allow, and queue where the rest lies. The connection of a client that
        is too far behind is dropped; the client comes back and resumes."""
        taken = 0
        if self.queue is None and self.backlog is None and self.late is None and not self.closed:
            while taken < len(fresh) and self.outlet.writable:
                parts = self._parts_of(fresh[taken : taken + FLUSH])
                if not parts:
                    break
                self.outlet.write(parts)
                taken += len(parts)
        if taken < len(fresh):
            self.queue = queue = self.queue or []
            queue += [each.position if type(each.event) is MessageQueued else -each.position for each in fresh[taken:]]
            self.wake()
            if len(queue) > MAX_LAG and self.queue is queue:
                self.outlet.abort()

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
        """Send what is kept and read what is queued, as far as transport and window allow."""
        if self.closed:
            return
        while self.outlet.writable:
            parts = self._kept()
            if not parts:
                if self.queue and self.page is None:
                    self._read()
                return
            self.outlet.write(parts)

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

    def _kept(self) -> Sequence[Part]:
        """The next parts that are at hand: those outside the mailbox, and those for which no event of the queue waits any more."""
        parts: list[Part] = []
        if self.backlog:
            parts, self.backlog = self.backlog[:FLUSH], self.backlog[FLUSH:] or None
        if self.late is not None and not self.backlog:  # after the contact list, of which it tells
            uids = list(islice(self.late, PRESENCE))
            if uids:
                parts.append(presence_part([self.late.pop(uid) for uid in uids]))
            self.late = self.late or None
        queue = self.queue
        while queue and len(parts) < FLUSH and isinstance(part := queue[0], Part):
            parts.append(part)
            del queue[0]
        self.queue = queue or None
        return parts

    def _parts_of(self, page: Iterable[Committed]) -> list[Part]:
        """The first of these events as parts, up to the message for which the window has no room."""
        parts: list[Part] = []
        for _, event, _ in page:
            if type(event) is MessageQueued:
                if self.unacked is None:
                    self.unacked = deque()
                elif len(self.unacked) >= ACK_WINDOW:
                    break
                self.unacked.append(event.seq)
            parts.append(part_of(event))  # type: ignore[arg-type]
            self.sent = event.seq  # type: ignore[attr-defined]
        return parts

    def _read(self) -> None:
        """Read the first of the queue, unless there is no room for it in the window."""
        asked: list[int] = []
        room = ACK_WINDOW - len(self.unacked or ())
        for item in islice(self.queue or (), FLUSH):
            if isinstance(item, Part) or (item > 0 and not room):
                break
            room -= item > 0
            asked.append(abs(item))
        if asked:
            self.page = self.pages.page(self.uid, asked)
            self.page.add_done_callback(partial(self._came, asked))

    def _came(self, asked: list[int], page: Deferred[list[Committed]]) -> None:
        """A page was read: send it, whatever the transport holds by now, and go on with the next one."""
        if self.closed or self.queue is None:
            return
        if page.exception is not None:
            self._failed(page.exception)
            return
        self.page, found = None, page.result()
        taken = sum(position <= found[-1].position for position in asked) if found else len(asked)
        if len(found) < taken:
            log.error("session.mail_missing", uid=self.uid, events=taken - len(found))
        self.queue = self.queue[taken:] or None
        parts = self._parts_of(filter(self.pages.shown, found))
        if parts:
            self.outlet.write(parts)
        self.wake()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, Unavailable):
            self.pages.later(self._read_again)
        else:
            log.error("session.mail_unreadable", uid=self.uid, error=type(error).__name__)
            self.outlet.abort()

    def _read_again(self) -> None:
        self.page = None
        self.wake()
