"""What may happen to accounts, handles and homes, and what an auditor leaves behind. Rule: pure; time and hashes are passed in.

Registering is one unit of two commands, `[ClaimHandle, RegisterAccount]`: both are stored or neither.
"""

from domain.aggregate import Deciders
from domain.errors import HandleTaken, Invalid, UidTaken, UnknownUser
from domain.event import Event
from domain.events import global_server as events
from domain.profile import clean_changes, clean_handle, clean_profile, display_name, with_changes
from domain.registry import commands
from domain.registry.registered_home import GLOBAL, HOME_NAME, HOME_URL
from domain.registry.state import AccountState, HandleState, HomeState, TrailState


def claim_handle(state: HandleState, command: commands.ClaimHandle, now: float) -> list[Event]:
    """Reserve a handle. Raises `HandleTaken`, `Invalid`."""
    handle = clean_handle(command.handle)
    if state.version > 0:
        raise HandleTaken(handle=handle)
    return [events.HandleClaimed(handle=handle, uid=command.uid, at=now, cause=command.cause)]


def register_account(state: AccountState, command: commands.RegisterAccount, now: float) -> list[Event]:
    """Open an account. Raises `Invalid`; `UidTaken`, which is no refusal: the whole batch is undone, as after a conflict in the store."""
    if state.version > 0:
        raise UidTaken
    handle = clean_handle(command.handle)
    profile = clean_profile(command.profile)
    registered = events.UserRegistered(uid=command.uid, handle=handle, home=command.home, profile=profile, at=now, cause=command.cause)
    return [registered, events.CredentialChanged(uid=command.uid, password_hash=command.password_hash, at=now, cause=command.cause)]


def look_up_account(state: AccountState, command: commands.LookUpAccount, now: float) -> list[Event]:
    """Nothing happens. Raises `UnknownUser`."""
    must_be_open(state)
    return []


def change_profile(state: AccountState, command: commands.ChangeProfile, now: float) -> list[Event]:
    """Change the profile. Nothing happens when no field changes. Raises `UnknownUser`, `Invalid`."""
    must_be_open(state)
    wished = clean_changes(command.profile)
    changes = {name: text for name, text in wished.items() if text != state.profile.get(name)}
    if not changes:
        return []
    name = display_name(state.handle, with_changes(state.profile, changes))
    return [
        events.ProfileChanged(
            uid=command.uid, handle=state.handle, home=state.home, name=name, changes=changes, at=now, cause=command.cause
        )
    ]


def change_credential(state: AccountState, command: commands.ChangeCredential, now: float) -> list[Event]:
    """Replace the hash. Nothing happens when the present hash is no longer `instead_of`. Raises `UnknownUser`."""
    must_be_open(state)
    if command.instead_of is not None and command.instead_of != state.password_hash:
        return []
    return [events.CredentialChanged(uid=command.uid, password_hash=command.password_hash, at=now, cause=command.cause)]


def close_account(state: AccountState, command: commands.CloseAccount, now: float) -> list[Event]:
    """End the account. A repeat changes nothing. Raises `UnknownUser`."""
    if state.closed:
        return []
    must_be_open(state)
    homes = sorted({*command.homes, state.home})
    return [events.AccountClosed(uid=command.uid, reason=command.reason, home=state.home, homes=homes, at=now, cause=command.cause)]


def must_be_open(state: AccountState) -> None:
    """Raises `UnknownUser` for an account that was never opened, or is closed."""
    if state.version == 0 or state.closed:
        raise UnknownUser


def announce_home(state: HomeState, command: commands.AnnounceHome, now: float) -> list[Event]:
    """Note a home's address. Homes send it at every start, so nothing happens when it is known. A retired home that starts is in use
    again. Raises `Invalid`."""
    if not HOME_NAME.fullmatch(command.name) or command.name == GLOBAL:
        raise Invalid("name", f"1 to 32 of a-z 0-9 _ -, starting with a letter, not {GLOBAL!r}")
    if not HOME_URL.fullmatch(command.url):
        raise Invalid("url", "an absolute http or https URL")
    url = command.url.rstrip("/")
    if state.url == url and not state.retired:
        return []
    return [events.HomeAnnounced(name=command.name, url=url, at=now, cause=command.cause)]


def retire_home(state: HomeState, command: commands.RetireHome, now: float) -> list[Event]:
    """Give the home no new users. Nothing happens when it was never announced, or is retired."""
    if not state.url or state.retired:
        return []
    return [events.HomeRetired(name=command.name, at=now, cause=command.cause)]


def note_read(state: TrailState, command: commands.NoteRead, now: float) -> list[Event]:
    """Every read is noted, also a repeated one."""
    return [events.AuditRead(by=command.uid, handle=command.handle, what=command.what, whom=command.whom, at=now, cause=command.cause)]


def note_dead_letters(state: TrailState, command: commands.NoteDeadLetters, now: float) -> list[Event]:
    """Every action is noted."""
    return [
        events.DeadLettersHandled(
            by=command.uid, handle=command.handle, action=command.action, letters=command.letters, at=now, cause=command.cause
        )
    ]


DECIDERS: Deciders = {
    commands.ClaimHandle: claim_handle,
    commands.RegisterAccount: register_account,
    commands.LookUpAccount: look_up_account,
    commands.ChangeProfile: change_profile,
    commands.ChangeCredential: change_credential,
    commands.CloseAccount: close_account,
    commands.AnnounceHome: announce_home,
    commands.RetireHome: retire_home,
    commands.NoteRead: note_read,
    commands.NoteDeadLetters: note_dead_letters,
}
