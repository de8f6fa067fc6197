"""What the windows read. Rule: a pure fold over SDK events, reports and intents, without clock, disk, network or toolkit.

    effects = model.fold(something, now)

Views only read the attributes and methods below. They change nothing except through `Bridge.do(intent)`.
"""

import uuid
from datetime import datetime

from clients.tk.model import on_intent, on_report, on_sdk_event
from clients.tk.model.effects import Effect
from clients.tk.model.inputs import Input, SignedIn, SignedOut, SignIn, SigningIn, Tick, Trouble
from clients.tk.model.state import State
from clients.tk.model.values import ContactRow, Entry, Group, MessageKey, Popup, Received, Removal, Replay, Sent

_FOLDS = on_intent.FOLDS | on_report.FOLDS | on_sdk_event.FOLDS  # the type of an input -> the function that folds it
# While nobody is signed in, every other input was meant for a user who has left.
_WHILE_SIGNED_OUT = frozenset({SignIn, SigningIn, SignedIn, SignedOut, Trouble, Tick})


def new_id() -> str:
    """The id of a message that is about to be written. The code that makes the `Write` calls this once."""
    return str(uuid.uuid4())


class Model(State):
    """Everything the windows show.

    account     the user for whom the client acts, None when signed out
    sign_in     the sign-in window                          connection  the connection line
    status      the user's own status                       replay      a backlog coming in, None when there is none
    directory   the last directory search                   history     the last history search

    `book`, `messages` and `popups` are for the folds. Views use what stands below.
    """

    # --- what views read ---

    @property
    def replay(self) -> Replay | None:
        """The long backlog that comes in right now, for the progress bar."""
        return self.popups.replay

    @property
    def open_popups(self) -> tuple[Popup, ...]:
        """The popups that are to be on the screen, oldest first."""
        return tuple(self.popups.open.values())

    @property
    def removals(self) -> tuple[Removal, ...]:
        """Removed contacts that can still be brought back, oldest first."""
        return tuple(self.book.removals.values())

    @property
    def filter(self) -> str:
        """The text in the contact window's search."""
        return self.book.filter

    def groups(self) -> tuple[Group, ...]:
        """The groups of the contact window that have rows, in `ORDER` and then strangers, filtered. Asking again costs little."""
        return self.book.groups(self.messages.unread)

    def row(self, uid: int) -> ContactRow:
        """The row of one person, who may be on the list or not."""
        return self.book.row(uid, self.messages.unread.get(uid, 0))

    def conversation(self, uid: int) -> tuple[Entry, ...]:
        """The entries with `uid`, in the order in which this client learned of them: new entries are always at the end."""
        return self.messages.of(uid)

    def may_have_older(self, uid: int) -> bool:
        """Whether `LoadOlder` may give more."""
        return uid in self.older

    def message(self, key: MessageKey) -> Received | None:
        """One received message, which a popup shows."""
        return self.messages.received(key)

    def answered(self, message: Entry) -> Entry | None:
        """The message that this one replies to, if this machine knows it; the popup quotes it."""
        return self.messages.answered(message)

    @property
    def inbox(self) -> tuple[Received, ...]:
        """Messages that are neither done nor answered, oldest first."""
        return self.messages.inbox()

    @property
    def unread(self) -> int:
        """How many messages the person has never looked at."""
        return sum(self.messages.unread.values())

    @property
    def outbox(self) -> tuple[Sent, ...]:
        """The messages that wait to be sent, oldest first."""
        return self.messages.outbox()

    # --- the fold ---

    def fold(self, happened: Input, now: datetime) -> list[Effect]:
        """Take in one input. An unknown or late input changes nothing, and folding an input twice has the effect of folding it once."""
        fold = _FOLDS.get(type(happened))
        if fold is None or (self.account is None and type(happened) not in _WHILE_SIGNED_OUT):
            return []
        return fold(self, happened, now)
