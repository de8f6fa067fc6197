"""The log of one mailbox, as sessions read it. Rule: a page comes at once, unless a test keeps it back."""

from domain.errors import Unavailable
from runtime.deferred import Deferred, failed, succeeded
from servers.sessions.session import Session
from servers.store.event_store import Committed


class StoredMail:
    """Stands for `Pages`. `asked`: the positions of each page."""

    def __init__(self) -> None:
        self.log = {}
        self.asked = []
        self.away = self.held_back = False
        self.held = []  # pages that were asked for and are kept back, with what they hold
        self.again = []  # what is to be read once more
        self.most = 64  # events in a page
        self.gone = set()  # senders

    def commit(self, session, events):
        """These events are on disk, and the session hears of it."""
        stored = [Committed(10 * (len(self.log) + number), event, None) for number, event in enumerate(events, 1)]
        self.log |= {each.position: each for each in stored}
        session.enqueue(stored)

    def page(self, uid, positions):
        self.asked.append(positions)
        found = [self.log[position] for position in positions[: self.most] if position in self.log]
        if self.away:
            return failed(Unavailable("away"))
        if self.held_back:
            self.held.append((Deferred(), found))
            return self.held[-1][0]
        return succeeded(found)

    def bring(self):
        """The oldest page that was kept back."""
        page, found = self.held.pop(0)
        page.set_result(found)

    def shown(self, committed):
        return getattr(committed.event, "uid", None) not in self.gone

    def later(self, read):
        self.again.append(read)


def session(window, mail=None):
    """A session of user 1, who has read nothing yet."""
    return Session("s1", 1, window, False, 0.0, 0, mail or StoredMail())
