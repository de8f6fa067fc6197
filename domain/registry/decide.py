"""What may happen to accounts, handles and homes, and what an auditor leaves behind. Rule: pure; time and hashes are passed in.

Registering is one unit of two commands, `[ClaimHandle, RegisterAccount]`: both are stored or neither.
"""

from domain.aggregate import Deciders
from domain.errors import Forbidden, HandleTaken, Invalid, UidTaken, UnknownUser
from domain.event import Event
from domain.events import global_server as events
from domain.profile import clean_changes, clean_handle, clean_profile, display_name, with_changes
from domain.registry import commands
from domain.registry.registered_home import GLOBAL, HOME_NAME, HOME_URL
from domain.registry.state import AccountState, HandleState, HomeState, TrailState, UidsState


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
    again. Raises `Invalid`, and `Forbidden` for a home that is not enrolled or a URL that nobody allowed."""
    name, url = _clean_name(command.name), _clean_url(command.url)
    if not state.enrolled:
        raise Forbidden(f"{name} is not enrolled, or was revoked. `flash enroll {name}` makes a secret for it.")
    if url not in (state.url, state.allowed):
        raise Forbidden(f"{name} may not be reached at {url}. `flash servers allow {name} {url}` allows it.", url=url)
    if state.url == url and not state.retired:
        return []
    return [events.HomeAnnounced(name=name, url=url, at=now, cause=command.cause)]


def enrol_home(state: HomeState, command: commands.EnrolHome, now: float) -> list[Event]:
    """Let a home belong to the installation. A key that takes the place of another one ends the other's certificates. Raises `Invalid`, and
    `Forbidden` where a person must decide: the name has another key, or was revoked."""
    name, url, cause = _clean_name(command.name), _clean_url(command.url), command.cause
    other = state.key not in ("", command.key)
    if not command.by_ops and (other or (state.number and not state.enrolled)):
        raise Forbidden(f"{name} is enrolled with another key, or was revoked. `flash enroll {name}` makes a secret for it.")
    happened: list[Event] = []
    if other and state.enrolled:
        happened.append(events.HomeRevoked(name=name, number=state.number, homes=sorted(command.homes), at=now, cause=cause))
    if url not in (state.url, state.allowed):
        happened.append(events.UrlAllowed(name=name, url=url, at=now, cause=cause))
    if other or not state.enrolled:
        happened.append(events.HomeEnrolled(name=name, key=command.key, at=now, cause=cause))
    return [*happened, _certificate_issued(state, command, now)]


def certify_home(state: HomeState, command: commands.CertifyHome, now: float) -> list[Event]:
    """Give an enrolled home a new certificate. Raises `Forbidden` when it was revoked in the meantime."""
    if not state.enrolled:
        raise Forbidden(f"{command.name} is not enrolled, or was revoked.")
    return [_certificate_issued(state, command, now)]


def allow_url(state: HomeState, command: commands.AllowUrl, now: float) -> list[Event]:
    """Allow a home another URL; it takes effect when the home announces itself there. Raises `Invalid`."""
    name, url = _clean_name(command.name), _clean_url(command.url)
    if url == state.allowed:
        return []
    return [events.UrlAllowed(name=name, url=url, at=now, cause=command.cause)]


def revoke_home(state: HomeState, command: commands.RevokeHome, now: float) -> list[Event]:
    """Believe a home no more. Nothing happens when it is not enrolled."""
    if not state.enrolled:
        return []
    homes = sorted(command.homes)
    return [events.HomeRevoked(name=command.name, number=state.number, homes=homes, by=command.by, at=now, cause=command.cause)]


def reserve_uids(state: UidsState, command: commands.ReserveUids, now: float) -> list[Event]:
    """Reserve the next block."""
    after = max(state.last, command.after)
    return [events.UidsReserved(first=after + 1, last=after + command.count, at=now, cause=command.cause)]


def accept_loss(state: HomeState, command: commands.AcceptLoss, now: float) -> list[Event]:
    """Note what the ops accepted. A repeat changes nothing."""
    if state.accepted == [command.life, command.end, command.known]:
        return []
    return [
        events.LifeAccepted(
            name=command.name, life=command.life, end=command.end, known=command.known, loss=command.loss, at=now, cause=command.cause
        )
    ]


def retire_home(state: HomeState, command: commands.RetireHome, now: float) -> list[Event]:
    """Give the home no new users. Nothing happens when it was never announced, or is retired."""
    if not state.url or state.retired:
        return []
    return [events.HomeRetired(name=command.name, at=now, cause=command.cause)]


def _clean_name(name: str) -> str:
    if not HOME_NAME.fullmatch(name) or name == GLOBAL:
        raise Invalid("name", f"1 to 32 of a-z 0-9 _ -, starting with a letter, not {GLOBAL!r}")
    return name


def _clean_url(url: str) -> str:
    if not HOME_URL.fullmatch(url):
        raise Invalid("url", "an absolute http or https URL")
    return url.rstrip("/")


def _certificate_issued(state: HomeState, command: commands.EnrolHome | commands.CertifyHome, now: float) -> Event:
    if command.number <= state.number:
        raise Forbidden(f"Another certificate of {command.name} was given in the same moment.")
    return events.CertificateIssued(
        name=command.name, number=command.number, expires=command.expires, life=command.life, certificate=command.certificate,
        at=now, cause=command.cause,
    )  # fmt: skip


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
    commands.EnrolHome: enrol_home,
    commands.CertifyHome: certify_home,
    commands.AllowUrl: allow_url,
    commands.RevokeHome: revoke_home,
    commands.AcceptLoss: accept_loss,
    commands.ReserveUids: reserve_uids,
    commands.RetireHome: retire_home,
    commands.NoteRead: note_read,
    commands.NoteDeadLetters: note_dead_letters,
}
