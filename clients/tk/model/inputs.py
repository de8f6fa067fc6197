"""The inputs of the model besides the SDK's events: the user's intents and the engine's reports. Rule: values only.

Intents come from views through `Bridge.do`. Reports come from the engine through `Bridge.report`; views never make one.
"""

from dataclasses import dataclass, field
from datetime import datetime

from clients.tk.model.values import Account, Entry, Found, MessageKey, OwnStatus, StatusName
from flash_sdk import Contact
from flash_sdk import Event as SdkEvent

# --- intents of the person at the window ---


@dataclass(frozen=True, slots=True)
class SignIn:
    """Log in. With `register`, become a user first; `full_name` goes into the profile and may be empty."""

    server: str
    handle: str
    password: str = field(repr=False)
    register: bool = False
    full_name: str = ""


@dataclass(frozen=True, slots=True)
class SignOut:
    """Log off and forget the grant. Messages that wait to be sent stay on disk for the next login of this user."""


@dataclass(frozen=True, slots=True)
class Write:
    """Send a message. `id`: made together with the intent (`new_id()`), so that nothing is ever doubled. `answers`: the message to which
    this one replies, and which is closed with it. A recipient who is not on the list is put there first."""

    id: str
    to: int
    text: str = field(repr=False)
    urgent: bool = False
    answers: MessageKey | None = None


@dataclass(frozen=True, slots=True)
class CloseMessage:
    """Done: close the message, here and on my other sessions."""

    key: MessageKey


@dataclass(frozen=True, slots=True)
class ClosePopup:
    """Later, or a notification that was clicked away or timed out: the popup goes, and its messages wait in the inbox."""

    popup_id: str


@dataclass(frozen=True, slots=True)
class PopupMapped:
    """The popup is on the screen, so its messages need not pop up again after a restart."""

    popup_id: str


@dataclass(frozen=True, slots=True)
class MarkRead:
    """The person looks at the conversation with `uid`."""

    uid: int


@dataclass(frozen=True, slots=True)
class LoadOlder:
    """Load older entries of the conversation with `uid` from this machine's disk. The newest ones are there from the start."""

    uid: int


@dataclass(frozen=True, slots=True)
class FilterContacts:
    """Search as you type in the contact window: words, by prefix, in title, handle, name and note. An empty text shows everyone."""

    text: str


@dataclass(frozen=True, slots=True)
class SearchDirectory:
    """Search the directory for people to add."""

    query: str


@dataclass(frozen=True, slots=True)
class SearchHistory:
    """Search the messages that were received and sent on this machine, only those with `uid` when it is given."""

    query: str
    uid: int | None = None


@dataclass(frozen=True, slots=True)
class AddContact:
    """Put someone on the list. `handle`, `name`: as the search gave them, to be shown at once."""

    uid: int
    handle: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class RemoveContact:
    """Take someone off the list. The home is told after `UNDO_S`; until then `UndoRemoval` brings them back."""

    uid: int


@dataclass(frozen=True, slots=True)
class UndoRemoval:
    """Bring back a contact that was removed less than `UNDO_S` ago."""

    uid: int


@dataclass(frozen=True, slots=True)
class ChangeContact:
    """Set my own name for a contact (None or empty for none) and whether to tell me when they come online."""

    uid: int
    alias: str | None
    notify: bool


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Set my own status, perhaps until some moment (aware datetime)."""

    status: StatusName
    note: str = ""
    until: datetime | None = None


Intent = (
    SignIn | SignOut | Write | CloseMessage | ClosePopup | PopupMapped | MarkRead | LoadOlder | FilterContacts | SearchDirectory
    | SearchHistory | AddContact | RemoveContact | UndoRemoval | ChangeContact | SetStatus
)  # fmt: skip

# --- reports of the engine ---


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed. Given by `Bridge.drain` a few times a second."""


@dataclass(frozen=True, slots=True)
class SigningIn:
    """The engine works on a sign-in, for instance of a remembered user."""

    server: str
    handle: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The user for whom the client acts from now on, with everything on its disk. It comes before any connection, so all works offline.

    `contacts`: as last heard. `entries`: the newest of each conversation and all that are open or under way, oldest first. `unshown`:
    keys of open messages that no popup has shown yet. `wishes`: changes of the list that the home has not confirmed. `people`: uid,
    handle and name of everybody who was ever mentioned. `older`: conversations of which the disk has more than `entries`.
    """

    account: Account
    contacts: tuple[Contact, ...] = ()
    entries: tuple[Entry, ...] = ()
    unshown: frozenset[MessageKey] = frozenset()
    wishes: tuple["ContactWish", ...] = ()
    status: OwnStatus = field(default_factory=OwnStatus)
    people: tuple[tuple[int, str, str], ...] = ()
    older: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Nobody is signed in. `why`: one sentence, empty after a sign-out of the user. `server`, `handle`: to prefill the next sign-in."""

    why: str = ""
    server: str = ""
    handle: str = ""


@dataclass(frozen=True, slots=True)
class ContactWish:
    """One entry of the list as the user wants it. The latest wish counts, and stays on disk until the home has confirmed it.

    `not_before`: the home is not asked earlier, so that a removal can be undone without the home.
    """

    uid: int
    handle: str
    name: str = ""
    alias: str | None = None
    notify: bool = False
    listed: bool = True  # False: off the list
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class WishGranted:
    """The home has fulfilled a wish. `contact`: the new entry; None after a removal."""

    wish: ContactWish
    contact: Contact | None


@dataclass(frozen=True, slots=True)
class WishRefused:
    """The home has refused a wish, so the entry is again as the home told it last. `why`: one sentence."""

    wish: ContactWish
    why: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A message of mine is on this machine's disk, so a crash does not lose it."""

    id: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The home has a message of mine on disk."""

    id: str


@dataclass(frozen=True, slots=True)
class SendRefused:
    """A message of mine will never be sent. `why`: the reason."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class StatusSaved:
    """The home has this status."""

    status: OwnStatus


@dataclass(frozen=True, slots=True)
class DirectoryAnswer:
    """The result of a directory search so far. `error`: one sentence when it failed."""

    query: str
    found: tuple[Found, ...] = ()
    complete: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True)
class HistoryAnswer:
    """The result of a search in the history, newest first."""

    query: str
    uid: int | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class OlderLoaded:
    """Earlier entries of a conversation, oldest first. `more`: there may be still earlier ones."""

    uid: int
    entries: tuple[Entry, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of which the user should know. `what`: one sentence."""

    what: str


Report = (
    Tick | SigningIn | SignedIn | SignedOut | WishGranted | WishRefused | Saved | Accepted | SendRefused | StatusSaved
    | DirectoryAnswer | HistoryAnswer | OlderLoaded | Trouble
)  # fmt: skip

Input = Intent | Report | SdkEvent
