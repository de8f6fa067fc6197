"""The inputs of the model besides the SDK's events: the user's intents and the engine's reports. Rule: values only.

Intents come from views through `Bridge.do`. Reports come from the engine through `Bridge.report`; views never make one.
"""

from dataclasses import field
from datetime import datetime

from clients.tk.model.values import Account, Entry, Found, MessageKey, OwnStatus, StatusName, Value
from flash_sdk import Contact
from flash_sdk import Event as SdkEvent

# --- intents of the person at the window ---


class SignIn(Value):
    """Log in. With `register`, become a user first; `full_name` goes into the profile and may be empty."""

    server: str
    handle: str
    password: str = field(repr=False)
    register: bool = False
    full_name: str = ""


class SignOut(Value):
    """Log off and forget the grant. Messages that wait to be sent stay on disk for the next login of this user."""


class Write(Value):
    """Send a message. `id`: made together with the intent (`new_id()`), so that nothing is ever doubled. `answers`: the message to which
    this one replies, and which is closed with it. A recipient who is not on the list is put there first."""

    id: str
    to: int
    text: str = field(repr=False)
    urgent: bool = False
    answers: MessageKey | None = None


class CloseMessage(Value):
    """Done: close the message, here and on my other sessions."""

    key: MessageKey


class ClosePopup(Value):
    """Later, or a notification that was clicked away or timed out: the popup goes, and its messages wait in the inbox."""

    popup_id: str


class PopupMapped(Value):
    """The popup is on the screen, so its messages need not pop up again after a restart."""

    popup_id: str


class MarkRead(Value):
    """The person looks at the conversation with `uid`."""

    uid: int


class LoadOlder(Value):
    """Load older entries of the conversation with `uid` from this machine's disk. The newest ones are there from the start."""

    uid: int


class FilterContacts(Value):
    """Search as you type in the contact window: words, by prefix, in title, handle, name and note. An empty text shows everyone."""

    text: str


class SearchDirectory(Value):
    """Search the directory for people to add."""

    query: str


class SearchHistory(Value):
    """Search the messages that were received and sent on this machine, only those with `uid` when it is given."""

    query: str
    uid: int | None = None


class AddContact(Value):
    """Put someone on the list. `handle`, `name`: as the search gave them, to be shown at once."""

    uid: int
    handle: str
    name: str = ""


class RemoveContact(Value):
    """Take someone off the list. The home is told after `UNDO_S`; until then `UndoRemoval` brings them back."""

    uid: int


class UndoRemoval(Value):
    """Bring back a contact that was removed less than `UNDO_S` ago."""

    uid: int


class ChangeContact(Value):
    """Set my own name for a contact (None or empty for none) and whether to tell me when they come online."""

    uid: int
    alias: str | None
    notify: bool


class SetStatus(Value):
    """Set my own status, perhaps until some moment (aware datetime)."""

    status: StatusName
    note: str = ""
    until: datetime | None = None


Intent = (
    SignIn | SignOut | Write | CloseMessage | ClosePopup | PopupMapped | MarkRead | LoadOlder | FilterContacts | SearchDirectory
    | SearchHistory | AddContact | RemoveContact | UndoRemoval | ChangeContact | SetStatus
)  # fmt: skip

# --- reports of the engine ---


class Tick(Value):
    """Time has passed. Given by `Bridge.drain` a few times a second."""


class SigningIn(Value):
    """The engine works on a sign-in, for instance of a remembered user."""

    server: str
    handle: str


class SignedIn(Value):
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


class SignedOut(Value):
    """Nobody is signed in. `why`: one sentence, empty after a sign-out of the user. `server`, `handle`: to prefill the next sign-in."""

    why: str = ""
    server: str = ""
    handle: str = ""


class ContactWish(Value):
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


class WishGranted(Value):
    """The home has fulfilled a wish. `contact`: the new entry; None after a removal."""

    wish: ContactWish
    contact: Contact | None


class WishRefused(Value):
    """The home has refused a wish, so the entry is again as the home told it last. `why`: one sentence."""

    wish: ContactWish
    why: str


class Saved(Value):
    """A message of mine is on this machine's disk, so a crash does not lose it."""

    id: str


class Accepted(Value):
    """The home has a message of mine on disk."""

    id: str


class SendRefused(Value):
    """A message of mine will never be sent. `why`: the reason."""

    id: str
    why: str


class StatusSaved(Value):
    """The home has this status."""

    status: OwnStatus


class DirectoryAnswer(Value):
    """The result of a directory search so far. `error`: one sentence when it failed."""

    query: str
    found: tuple[Found, ...] = ()
    complete: bool = True
    error: str = ""


class HistoryAnswer(Value):
    """The result of a search in the history, newest first."""

    query: str
    uid: int | None
    entries: tuple[Entry, ...]


class OlderLoaded(Value):
    """Earlier entries of a conversation, oldest first. `more`: there may be still earlier ones."""

    uid: int
    entries: tuple[Entry, ...]
    more: bool


class Trouble(Value):
    """A fault of which the user should know. `what`: one sentence."""

    what: str


Report = (
    Tick | SigningIn | SignedIn | SignedOut | WishGranted | WishRefused | Saved | Accepted | SendRefused | StatusSaved
    | DirectoryAnswer | HistoryAnswer | OlderLoaded | Trouble
)  # fmt: skip

Input = Intent | Report | SdkEvent
