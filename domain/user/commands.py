"""What can be asked of a user's state. Rule: plain values; `domain.user` decides.

Not frozen: nobody changes a command, and making a frozen one costs four times as much.
"""

from dataclasses import dataclass

from domain.user.state import Contact


@dataclass(slots=True, kw_only=True)
class UserCommand:
    """A wish concerning one user."""

    uid: int
    cause: str

    @property
    def stream(self) -> str:
        """The stream whose state decides."""
        return f"user-{self.uid}"


@dataclass(slots=True, kw_only=True)
class LookUp(UserCommand):
    """Change nothing; have the user's state at hand."""


@dataclass(slots=True, kw_only=True)
class Adopt(UserCommand):
    """The Global Server assigned, or renamed, this user."""

    handle: str
    name: str


@dataclass(slots=True, kw_only=True)
class LogIn(UserCommand):
    """A client of the user opened a back connection."""

    handle: str
    name: str
    session: str
    client: str
    replaces: str | None = None  # the same client's session before, which it knows to be over


@dataclass(slots=True, kw_only=True)
class LogOff(UserCommand):
    """A session ended."""

    session: str
    reason: str


@dataclass(slots=True, kw_only=True)
class NoteRoute(UserCommand):
    """Whether a session's client can be called directly. `why` not; None: it can."""

    session: str
    why: str | None


@dataclass(slots=True, kw_only=True)
class SetStatus(UserCommand):
    """The user chose a status."""

    status: str
    note: str
    until: float | None


@dataclass(slots=True, kw_only=True)
class LapseStatus(UserCommand):
    """Time may have come for a status that was chosen until then."""


@dataclass(slots=True, kw_only=True)
class PutContact(UserCommand):
    """Watch somebody, or change how."""

    contact: Contact


@dataclass(slots=True, kw_only=True)
class RemoveContact(UserCommand):
    """Watch somebody no longer."""

    contact: int


@dataclass(slots=True, kw_only=True)
class AddContacter(UserCommand):
    """Somebody watches the user now."""

    contacter: int
    home: str


@dataclass(slots=True, kw_only=True)
class RemoveContacter(UserCommand):
    """Somebody watches the user no longer."""

    contacter: int


@dataclass(slots=True, kw_only=True)
class Send(UserCommand):
    """A popup for a contact."""

    id: str
    handle: str
    name: str
    to: int
    text: str
    in_reply_to: str | None
    urgent: bool
