"""What a fold asks of views and engine. Rule: values only; `ViewEffect`s are for the views, `Command`s for the engine."""

from dataclasses import field

from clients.tk.model.inputs import ContactWish
from clients.tk.model.values import Entry, MessageKey, OwnStatus, Popup, Sent, Value

# --- for the views: draw this again, or open and close that ---


class AccountChanged(Value):
    """Somebody has signed in or out, or the sign-in window shows another sentence: look at `model.account` and `model.sign_in`."""


class ConnectionChanged(Value):
    """The connection has changed: look at `model.connection`."""


class StatusChanged(Value):
    """My own status has changed: look at `model.status`."""


class ContactsChanged(Value):
    """Rows came, went or moved between groups: look at `model.groups()`."""


class ContactChanged(Value):
    """One row looks different but stays where it is (unread, note, since, saving): look at `model.row(uid)`."""

    uid: int


class EntryAdded(Value):
    """A conversation has a new entry at its end."""

    uid: int
    entry: Entry


class EntryChanged(Value):
    """An entry of a conversation has a new state; `entry` replaces the one of the same id (`Sent`) or key (`Received`)."""

    uid: int
    entry: Entry


class ConversationChanged(Value):
    """Draw the whole conversation again (older entries were loaded, or everything is new): look at `model.conversation(uid)`."""

    uid: int


class ReplayChanged(Value):
    """A long backlog has moved on: look at `model.replay`, which is None when there is none."""


class RemovalsChanged(Value):
    """Other removals can be undone than before: look at `model.removals`."""


class DirectoryChanged(Value):
    """The directory search has changed: look at `model.directory`."""


class HistoryChanged(Value):
    """The search in the history has changed: look at `model.history`."""


class ShowPopup(Value):
    """Open this popup, without taking the focus; then `bridge.do(PopupMapped(popup.id))`."""

    popup: Popup


class UpdatePopup(Value):
    """An open popup has another count."""

    popup: Popup


class HidePopup(Value):
    """Close a popup that was answered, put off, or closed on another session."""

    popup_id: str


class Ring(Value):
    """Ring the bell once."""


class Say(Value):
    """Tell the user one sentence, without a dialog that must be answered."""

    what: str


ViewEffect = (
    AccountChanged | ConnectionChanged | StatusChanged | ContactsChanged | ContactChanged | EntryAdded | EntryChanged
    | ConversationChanged | ReplayChanged | RemovalsChanged | DirectoryChanged | HistoryChanged | ShowPopup | UpdatePopup
    | HidePopup | Ring | Say
)  # fmt: skip

# --- for the engine: keep this, send that. Doing any of them twice does no harm ---


class DoSignIn(Value):
    """Get a grant and go online."""

    server: str
    handle: str
    password: str = field(repr=False)
    register: bool
    full_name: str


class DoSignOut(Value):
    """Log off, forget the grant."""


class Post(Value):
    """Put a message on disk, then send it when there is a connection."""

    sent: Sent


class MarkDone(Value):
    """Mark a message on disk as closed and read. With `tell`, tell the home when there is a connection; otherwise the home told us."""

    key: MessageKey
    tell: bool


class MarkShown(Value):
    """Mark these messages on disk as shown in a popup."""

    keys: tuple[MessageKey, ...]


class MarkAllRead(Value):
    """Mark everything from `uid` on disk as read."""

    uid: int


class Wish(Value):
    """Put a wish on disk, then ask the home when there is a connection."""

    wish: ContactWish


class PutStatus(Value):
    """Put my status on disk, then tell the home when there is a connection."""

    status: OwnStatus


class FindPeople(Value):
    """Search the directory; a newer search replaces an older one."""

    query: str


class FindEntries(Value):
    """Search the history on disk."""

    query: str
    uid: int | None


class ReadOlder(Value):
    """Read the entries of a conversation from disk that come before the entry `before`; None for the newest."""

    uid: int
    before: Entry | None


Command = (
    DoSignIn | DoSignOut | Post | MarkDone | MarkShown | MarkAllRead | Wish | PutStatus | FindPeople | FindEntries | ReadOlder
)  # fmt: skip

Effect = ViewEffect | Command
