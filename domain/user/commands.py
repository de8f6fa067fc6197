"""What can be asked of a user's state. Rule: plain values, which nobody changes; `decide.py` says what comes of them."""

from domain.event import AggregateCommand
from domain.user.state import Contact


class UserCommand(AggregateCommand, frozen=True, kw_only=True):
    """A wish concerning one user."""

    AGGREGATE = "user"


class LookUp(UserCommand, frozen=True, kw_only=True):
    """Change nothing, but have the user's state loaded."""


class Adopt(UserCommand, frozen=True, kw_only=True):
    """The Global Server assigned, or renamed, this user."""

    handle: str
    name: str


class LogIn(UserCommand, frozen=True, kw_only=True):
    """A client of the user opened a back connection."""

    handle: str
    name: str
    session: str
    client: str
    replaces: str | None = None  # the client's session before this one, of which it knows that it is over


class LogOff(UserCommand, frozen=True, kw_only=True):
    """A session ended."""

    session: str
    reason: str


class NoteRoute(UserCommand, frozen=True, kw_only=True):
    """The home has tried to call a session's client. `why`: the reason why it cannot be called, or None when it can."""

    session: str
    why: str | None


class SetStatus(UserCommand, frozen=True, kw_only=True):
    """The user chose a status."""

    status: str
    note: str
    until: float | None


class LapseStatus(UserCommand, frozen=True, kw_only=True):
    """The time until which a status was chosen may have come."""


class PutContact(UserCommand, frozen=True, kw_only=True):
    """Watch somebody, or change the entry on the contact list."""

    contact: Contact


class RemoveContact(UserCommand, frozen=True, kw_only=True):
    """Watch somebody no longer."""

    contact: int


class AddContacter(UserCommand, frozen=True, kw_only=True):
    """Somebody watches the user now."""

    contacter: int
    home: str


class RemoveContacter(UserCommand, frozen=True, kw_only=True):
    """Somebody watches the user no longer."""

    contacter: int


class HaveSent(UserCommand, frozen=True, kw_only=True):
    """Another home has news of a message that the user sent to `to`."""

    id: str
    to: int


class Send(UserCommand, frozen=True, kw_only=True):
    """A popup for a contact."""

    id: str
    handle: str
    name: str
    to: int
    text: str
    in_reply_to: str | None
    urgent: bool
