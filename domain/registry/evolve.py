"""How the Global Server's events change accounts, handles, homes and auditors' trails. Rule: an event never fails to apply."""

from domain.aggregate import Folds, unchanged
from domain.events.global_server import (
    AccountClosed,
    AuditRead,
    CredentialChanged,
    DeadLettersHandled,
    HandleClaimed,
    HomeAnnounced,
    HomeRetired,
    ProfileChanged,
    UserRegistered,
)
from domain.profile import with_changes
from domain.registry.state import AccountState, HandleState, HomeState


def _registered(account: AccountState, event: UserRegistered) -> None:
    account.uid, account.handle, account.home, account.profile = event.uid, event.handle, event.home, dict(event.profile)


def _profile_changed(account: AccountState, event: ProfileChanged) -> None:
    account.profile = with_changes(account.profile, event.changes)


def _credential_changed(account: AccountState, event: CredentialChanged) -> None:
    account.password_hash = event.password_hash


def _closed(account: AccountState, event: AccountClosed) -> None:
    account.closed, account.profile, account.password_hash = True, {}, ""


def _handle_claimed(handle: HandleState, event: HandleClaimed) -> None:
    handle.uid = event.uid


def _announced(home: HomeState, event: HomeAnnounced) -> None:
    home.url, home.retired = event.url, False


def _retired(home: HomeState, event: HomeRetired) -> None:
    home.retired = True


FOLDS: Folds = {
    UserRegistered: _registered,
    ProfileChanged: _profile_changed,
    CredentialChanged: _credential_changed,
    AccountClosed: _closed,
    HandleClaimed: _handle_claimed,
    HomeAnnounced: _announced,
    HomeRetired: _retired,
    AuditRead: unchanged,
    DeadLettersHandled: unchanged,
}
