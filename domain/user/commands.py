"""What can be asked of a user's state. Rule: plain values, which nobody changes; `decide.py` says what comes of them."""

from msgspec import Struct

from domain.user.state import Contact


class UserCommand(Struct, frozen=True, kw_only=True, gc=False):
    """A wish concerning one user."""

    uid: int
    cause: str

    @property
    def stream(self) -> str:
        """The stream whose state decides."""
        return f"user-{self.uid}"


class LookUp(UserCommand, frozen=True, kw_only=True):
    """Change nothing; have the user's state at hand."""


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
    replaces: str | None = None  # the same client's session before, which it knows to be over


class LogOff(UserCommand, frozen=True, kw_only=True):
    """A session ended."""

    session: str
    reason: str


class NoteRoute(UserCommand, frozen=True, kw_only=True):
    """Whether a session's client can be called directly. `why` not; None: it can."""

    session: str
    why: str | None


class SetStatus(UserCommand, frozen=True, kw_only=True):
    """The user chose a status."""

    status: str
    note: str
    until: float | None


class LapseStatus(UserCommand, frozen=True, kw_only=True):
    """Time may have come for a status that was chosen until then."""


class PutContact(UserCommand, frozen=True, kw_only=True):
    """Watch somebody, or change how."""

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


class Send(UserCommand, frozen=True, kw_only=True):
    """A popup for a contact."""

    id: str
    handle: str
    name: str
    to: int
    text: str
    in_reply_to: str | None
    urgent: bool
