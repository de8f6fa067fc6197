"""The rules of one user's account (`account-<uid>`) and of one handle (`handle-<handle>`). Rule: pure; time and hashes are passed in.

Registering is one unit of two commands, `[ClaimHandle, RegisterAccount]`: both are stored or neither.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.errors import HandleTaken, UidTaken, UnknownUser
from domain.event import Event
from domain.events.global_server import AccountClosed, CredentialChanged, HandleClaimed, ProfileChanged, UserRegistered
from domain.personal import Personal
from domain.profile import clean_changes, clean_handle, clean_profile, display_name


@dataclass(slots=True)
class AccountState:
    """An account, folded. `password_hash` is empty until the first `CredentialChanged`."""

    stream: str
    version: int = 0
    uid: int = 0
    handle: str = ""
    home: str = ""
    profile: dict[str, str] = field(default_factory=dict)
    password_hash: str = field(default="", repr=False)
    closed: bool = False

    def dump(self) -> list[Any]:
        """Plain data for a snapshot, and `Personal`."""
        profile, password_hash = Personal(self.uid, self.profile), Personal(self.uid, self.password_hash)
        return [self.uid, self.handle, self.home, profile, password_hash, self.closed]

    def load(self, data: list[Any]) -> None:
        """The reverse of `dump`."""
        self.uid, self.handle, self.home, self.profile, self.password_hash, self.closed = data


@dataclass(slots=True)
class HandleState:
    """A handle, folded. `uid` is 0 while nobody has it."""

    stream: str
    version: int = 0
    uid: int = 0

    def dump(self) -> int:
        """Plain data, for a snapshot."""
        return self.uid

    def load(self, data: int) -> None:
        """The reverse of `dump`."""
        self.uid = data


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimHandle:
    """Reserve `handle` for `uid`, for good."""

    handle: str
    uid: int
    cause: str

    @property
    def stream(self) -> str:
        return f"handle-{self.handle.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAccount:
    """Open account `uid` at `home`. `password_hash`: argon2id; the password itself never comes near an event."""

    uid: int
    handle: str
    home: str
    profile: Mapping[str, str | None]
    password_hash: str = field(repr=False)
    cause: str

    @property
    def stream(self) -> str:
        return f"account-{self.uid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUpAccount:
    """Change nothing, but make sure that the account is there and open, so that its state can be read in order with all changes."""

    uid: int
    cause: str

    @property
    def stream(self) -> str:
        return f"account-{self.uid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeProfile:
    """Set the named profile fields; `None` or blank empties one; the others stay."""

    uid: int
    profile: Mapping[str, str | None]
    cause: str

    @property
    def stream(self) -> str:
        return f"account-{self.uid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCredential:
    """Replace the password's hash. With `instead_of`, only while that is still the hash: a rehash never undoes a new password."""

    uid: int
    password_hash: str = field(repr=False)
    instead_of: str | None = field(default=None, repr=False)
    cause: str

    @property
    def stream(self) -> str:
        return f"account-{self.uid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAccount:
    """End the account for good."""

    uid: int
    reason: str
    homes: Sequence[str]  # all homes of the installation
    cause: str

    @property
    def stream(self) -> str:
        return f"account-{self.uid}"


AccountCommand = ClaimHandle | RegisterAccount | LookUpAccount | ChangeProfile | ChangeCredential | CloseAccount


def claim_handle(state: HandleState, command: ClaimHandle, now: float) -> list[Event]:
    """Raises `HandleTaken`, `Invalid`."""
    handle = clean_handle(command.handle)
    if state.version > 0:
        raise HandleTaken(handle=handle)
    return [HandleClaimed(handle=handle, uid=command.uid, at=now, cause=command.cause)]


def register_account(state: AccountState, command: RegisterAccount, now: float) -> list[Event]:
    """Raises `Invalid`; `UidTaken`, which is no refusal: the whole batch is undone, as after a conflict in the database."""
    if state.version > 0:
        raise UidTaken
    handle = clean_handle(command.handle)
    profile = clean_profile(command.profile)
    registered = UserRegistered(uid=command.uid, handle=handle, home=command.home, profile=profile, at=now, cause=command.cause)
    return [registered, CredentialChanged(uid=command.uid, password_hash=command.password_hash, at=now, cause=command.cause)]


def look_up_account(state: AccountState, command: LookUpAccount, now: float) -> list[Event]:
    """Raises `UnknownUser`."""
    must_be_open(state)
    return []


def change_profile(state: AccountState, command: ChangeProfile, now: float) -> list[Event]:
    """Nothing happens when nothing changes. Raises `UnknownUser`, `Invalid`."""
    must_be_open(state)
    wished = clean_changes(command.profile)
    changes = {name: text for name, text in wished.items() if text != state.profile.get(name)}
    if not changes:
        return []
    after = {name: text for name, text in {**state.profile, **changes}.items() if text is not None}
    name = display_name(state.handle, after)
    return [ProfileChanged(uid=command.uid, handle=state.handle, home=state.home, name=name, changes=changes, at=now, cause=command.cause)]


def change_credential(state: AccountState, command: ChangeCredential, now: float) -> list[Event]:
    """Nothing happens when the hash is another by now than `instead_of`. Raises `UnknownUser`."""
    must_be_open(state)
    if command.instead_of is not None and command.instead_of != state.password_hash:
        return []
    return [CredentialChanged(uid=command.uid, password_hash=command.password_hash, at=now, cause=command.cause)]


def close_account(state: AccountState, command: CloseAccount, now: float) -> list[Event]:
    """Closing twice changes nothing. Raises `UnknownUser`."""
    if state.closed:
        return []
    must_be_open(state)
    homes = sorted({*command.homes, state.home})
    return [AccountClosed(uid=command.uid, reason=command.reason, home=state.home, homes=homes, at=now, cause=command.cause)]


def must_be_open(state: AccountState) -> None:
    """Raises `UnknownUser` for an account that never was or is no more."""
    if state.version == 0 or state.closed:
        raise UnknownUser


def evolve(state: AccountState, event: Event) -> None:
    """Apply one event of `account-<uid>`, in order."""
    match event:
        case UserRegistered():
            state.uid, state.handle, state.home, state.profile = event.uid, event.handle, event.home, dict(event.profile)
        case ProfileChanged():
            state.profile = with_changes(state.profile, event.changes)
        case CredentialChanged():
            state.password_hash = event.password_hash
        case AccountClosed():
            state.closed, state.profile, state.password_hash = True, {}, ""
    state.version = event.originator_version


def evolve_handle(state: HandleState, event: Event) -> None:
    """Apply one event of `handle-<handle>`, in order."""
    if isinstance(event, HandleClaimed):
        state.uid = event.uid
    state.version = event.originator_version


def with_changes(profile: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """A new profile: `profile` with the fields of `changes` set, or left out where `None`."""
    return {name: text for name, text in {**profile, **changes}.items() if text is not None}


DECIDERS: dict[type, Callable[[Any, Any, float], list[Event]]] = {
    ClaimHandle: claim_handle,
    RegisterAccount: register_account,
    LookUpAccount: look_up_account,
    ChangeProfile: change_profile,
    ChangeCredential: change_credential,
    CloseAccount: close_account,
}
