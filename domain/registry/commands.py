"""What can be asked of accounts, handles, homes and auditors' trails. Rule: plain values, which nobody changes; `decide.py` says what comes
of them."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from domain.event import AggregateCommand


class ClaimHandle(Struct, frozen=True, kw_only=True):
    """Reserve `handle` for `uid`, for good."""

    handle: str
    uid: int
    cause: str

    @property
    def stream(self) -> str:
        """The stream whose state decides."""
        return f"handle-{self.handle.lower()}"


class AccountCommand(AggregateCommand, frozen=True, kw_only=True):
    """A wish concerning one account."""

    AGGREGATE = "account"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(uid={self.uid})"  # neither a hash of a password nor a profile belongs in a log


class RegisterAccount(AccountCommand, frozen=True, kw_only=True):
    """Open account `uid` at `home`. `password_hash`: argon2id; the password itself never comes near an event."""

    handle: str
    home: str
    profile: Mapping[str, str | None]
    password_hash: str


class LookUpAccount(AccountCommand, frozen=True, kw_only=True):
    """Change nothing, but make sure that the account is there and open, so that its state can be read in order with all changes."""


class ChangeProfile(AccountCommand, frozen=True, kw_only=True):
    """Set the named profile fields; `None` or blank empties one; the others stay."""

    profile: Mapping[str, str | None]


class ChangeCredential(AccountCommand, frozen=True, kw_only=True):
    """Replace the password's hash. With `instead_of`, only while that is still the hash: a rehash never undoes a new password."""

    password_hash: str
    instead_of: str | None = None


class CloseAccount(AccountCommand, frozen=True, kw_only=True):
    """End the account for good."""

    reason: str
    homes: Sequence[str]  # all homes of the installation


class HomeCommand(Struct, frozen=True, kw_only=True):
    """A wish concerning one home's entry."""

    name: str
    cause: str

    @property
    def stream(self) -> str:
        """The stream whose state decides."""
        return f"home-{self.name}"


class AnnounceHome(HomeCommand, frozen=True, kw_only=True):
    """A home says that it is there, and where clients reach it."""

    url: str


class EnrolHome(HomeCommand, frozen=True, kw_only=True):
    """A home has proved the secret that it was given. `key`: its public key, in hex; `by_ops`: whether the secret came from a person;
    `number`, `expires`, `life` and `certificate` (in hex): what the Global Server states of it; `homes`: all homes of the
    installation."""

    key: str
    url: str
    by_ops: bool
    number: int
    expires: float
    life: int
    certificate: str
    homes: Sequence[str]


class CertifyHome(HomeCommand, frozen=True, kw_only=True):
    """State anew what the Global Server states of an enrolled home. The fields are those of `EnrolHome`."""

    number: int
    expires: float
    life: int
    certificate: str


class AllowUrl(HomeCommand, frozen=True, kw_only=True):
    """The home may announce itself at `url`."""

    url: str


class RevokeHome(HomeCommand, frozen=True, kw_only=True):
    """Believe the home no more. `homes`: all homes of the installation; `by`: the handle of whoever asked in the console."""

    homes: Sequence[str]
    by: str = ""


class ReserveUids(Struct, frozen=True, kw_only=True):
    """Reserve `count` uids, all of them above `after` and above every block that was reserved before."""

    after: int
    count: int
    cause: str

    @property
    def stream(self) -> str:
        """The stream whose state decides."""
        return "uids-global"


class AcceptLoss(HomeCommand, frozen=True, kw_only=True):
    """The server may go on without what nobody has any more; the fields are those of `LifeAccepted`."""

    life: int
    end: int
    known: int
    loss: str


class RetireHome(HomeCommand, frozen=True, kw_only=True):
    """Give this home no new users."""


class AuditorCommand(AggregateCommand, frozen=True, kw_only=True):
    """What an auditor is about to do. `uid` and `handle`: the auditor's."""

    AGGREGATE = "audit"
    handle: str


class NoteRead(AuditorCommand, frozen=True, kw_only=True):
    """The auditor is about to read. `what` and `whom`: as in `AuditRead`."""

    what: str
    whom: str


class NoteDeadLetters(AuditorCommand, frozen=True, kw_only=True):
    """The auditor is about to put dead letters back or to throw them away. `action` and `letters`: as in `DeadLettersHandled`."""

    action: str
    letters: str


RegistryCommand = ClaimHandle | AccountCommand | HomeCommand | AuditorCommand
