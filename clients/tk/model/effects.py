"""What a fold asks of views and engine. Rule: values only; `ViewEffect`s are for the views, `Command`s for the engine."""

from dataclasses import dataclass, field

from clients.tk.model.inputs import ContactWish
from clients.tk.model.values import Entry, MessageKey, OwnStatus, Popup, Sent

# --- for the views: draw this again, or open and close that ---


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """Somebody has signed in or out, or the sign-in window shows another sentence: look at `model.account` and `model.sign_in`."""


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The connection has changed: look at `model.connection`."""


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """My own status has changed: look at `model.status`."""


@dataclass(frozen=True, slots=True)
class ContactsChanged:
    """Rows came, went or moved between groups: look at `model.groups()`."""


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """One row looks different but stays where it is (unread, note, since, saving): look at `model.row(uid)`."""

    uid: int


@dataclass(frozen=True, slots=True)
class EntryAdded:
    """A conversation has a new entry at its end."""

    uid: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class EntryChanged:
    """An entry of a conversation has a new state; `entry` replaces the one of the same id (`Sent`) or key (`Received`)."""

    uid: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class ConversationChanged:
    """Draw the whole conversation again (older entries were loaded, or everything is new): look at `model.conversation(uid)`."""

    uid: int


@dataclass(frozen=True, slots=True)
class ReplayChanged:
    """A long backlog has moved on: look at `model.replay`, which is None when there is none."""


@dataclass(frozen=True, slots=True)
class RemovalsChanged:
    """Other removals can be undone than before: look at `model.removals`."""


@dataclass(frozen=True, slots=True)
class DirectoryChanged:
    """The directory search has changed: look at `model.directory`."""


@dataclass(frozen=True, slots=True)
class HistoryChanged:
    """The search in the history has changed: look at `model.history`."""


@dataclass(frozen=True, slots=True)
class ShowPopup:
    """Open this popup, without taking the focus; then `bridge.do(PopupMapped(popup.id))`."""

    popup: Popup


@dataclass(frozen=True, slots=True)
class UpdatePopup:
    """An open popup has another count."""

    popup: Popup


@dataclass(frozen=True, slots=True)
class HidePopup:
    """Close a popup that was answered, put off, or closed on another session."""

    popup_id: str


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring the bell once."""


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the user one sentence, without a dialog that must be answered."""

    what: str


ViewEffect = (
    AccountChanged | ConnectionChanged | StatusChanged | ContactsChanged | ContactChanged | EntryAdded | EntryChanged
    | ConversationChanged | ReplayChanged | RemovalsChanged | DirectoryChanged | HistoryChanged | ShowPopup | UpdatePopup
    | HidePopup | Ring | Say
)  # fmt: skip

# --- for the engine: keep this, send that. Doing any of them twice does no harm ---


@dataclass(frozen=True, slots=True)
class DoSignIn:
    """Get a grant and go online."""

    server: str
    handle: str
    password: str = field(repr=False)
    register: bool
    full_name: str


@dataclass(frozen=True, slots=True)
class DoSignOut:
    """Log off, forget the grant."""


@dataclass(frozen=True, slots=True)
class Post:
    """Put a message on disk, then send it when there is a connection."""

    sent: Sent


@dataclass(frozen=True, slots=True)
class MarkDone:
    """Mark a message on disk as closed and read. With `tell`, tell the home when there is a connection; otherwise the home told us."""

    key: MessageKey
    tell: bool


@dataclass(frozen=True, slots=True)
class MarkShown:
    """Mark these messages on disk as shown in a popup."""

    keys: tuple[MessageKey, ...]


@dataclass(frozen=True, slots=True)
class MarkAllRead:
    """Mark everything from `uid` on disk as read."""

    uid: int


@dataclass(frozen=True, slots=True)
class Wish:
    """Put a wish on disk, then ask the home when there is a connection."""

    wish: ContactWish


@dataclass(frozen=True, slots=True)
class PutStatus:
    """Put my status on disk, then tell the home when there is a connection."""

    status: OwnStatus


@dataclass(frozen=True, slots=True)
class FindPeople:
    """Search the directory; a newer search replaces an older one."""

    query: str


@dataclass(frozen=True, slots=True)
class FindEntries:
    """Search the history on disk."""

    query: str
    uid: int | None


@dataclass(frozen=True, slots=True)
class ReadOlder:
    """Read the entries of a conversation from disk that come before the entry `before`; None for the newest."""

    uid: int
    before: Entry | None


Command = (
    DoSignIn | DoSignOut | Post | MarkDone | MarkShown | MarkAllRead | Wish | PutStatus | FindPeople | FindEntries | ReadOlder
)  # fmt: skip
COMMANDS = (DoSignIn, DoSignOut, Post, MarkDone, MarkShown, MarkAllRead, Wish, PutStatus, FindPeople, FindEntries, ReadOlder)

Effect = ViewEffect | Command
