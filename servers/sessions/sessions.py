"""The logged-in clients of one home. Rule: a session is found by its id and by its user."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runtime.bounds import Holding
from servers.sessions.pages import MAX_PAGE_BYTES
from servers.sessions.session import QUEUES, Session


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client says of itself when it opens a back connection."""

    client: str = ""
    pong: bool = False  # the client answers blanks; silence then means that it is dead
    resume_session: str | None = None
    resume_seq: int | None = None  # it has everything up to here


class Sessions:
    """Every session of a home, by user and by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        self._by_uid: dict[int, tuple[Session, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_id.values()))

    def holdings(self) -> Iterator[Holding]:
        """What waits for clients that do not read."""
        numbers = others = pages = 0
        for each in self._by_id.values():
            numbers += len(each.queue) if each.queue else 0
            others += len(each.backlog or ()) + len(each.late or ()) if each.backlog or each.late else 0
            pages += each.page is not None
        yield QUEUES.holding(numbers + others, numbers * 40 + others * 1_000 + pages * MAX_PAGE_BYTES)

    def add(self, session: Session) -> None:
        """A session begins."""
        self._by_id[session.id] = session
        self._by_uid[session.uid] = (*self._by_uid.get(session.uid, ()), session)

    def remove(self, session: Session) -> bool:
        """A session ends. False when it had ended before."""
        session.closed = True
        if self._by_id.pop(session.id, None) is None:
            return False
        left = tuple(s for s in self._by_uid[session.uid] if s is not session)
        if left:
            self._by_uid[session.uid] = left
        else:
            del self._by_uid[session.uid]
        return True

    def get(self, id: str) -> Session | None:
        """The session with this id, if it is live."""
        return self._by_id.get(id)

    def of(self, uid: int) -> Sequence[Session]:
        """A user's live sessions, oldest first."""
        return self._by_uid.get(uid, ())
