"""Everything the popup client knows. Rule: the folds change it, the views never do; it decides nothing itself."""

from datetime import datetime

from clients.tk.model.contacts import UNDO_S, ContactBook
from clients.tk.model.messages import Conversations
from clients.tk.model.popups import Popups
from clients.tk.model.values import Account, Connection, DirectorySearch, HistorySearch, OwnStatus, SignInState


class State:
    """`account` is the user for whom the client acts, or None when nobody is signed in. `older` holds the uids of the conversations of
    which the disk has more entries than are here."""

    def __init__(self, undo_s: float = UNDO_S) -> None:
        """`undo_s`: how long the removal of a contact can be undone."""
        self.account: Account | None = None
        self.sign_in = SignInState()
        self.connection = Connection()
        self.status = OwnStatus()
        self.directory = DirectorySearch()
        self.history = HistorySearch()
        self.book = ContactBook(undo_s)
        self.messages = Conversations()
        self.popups = Popups()
        self.older: set[int] = set()

    def dnd(self, now: datetime) -> bool:
        """Whether the user does not want to be disturbed."""
        return self.status.status == "dnd" and (self.status.until is None or self.status.until > now)
