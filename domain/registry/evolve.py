"""How the Global Server's events change accounts, handles, homes and auditors' trails. Rule: an event never fails to apply."""

from domain.aggregate import Folds, unchanged
from domain.events import global_server as events
from domain.profile import with_changes
from domain.registry.state import AccountState, HandleState, HomeState


def _registered(account: AccountState, event: events.UserRegistered) -> None:
    account.uid, account.handle, account.home, account.profile = event.uid, event.handle, event.home, dict(event.profile)


def _profile_changed(account: AccountState, event: events.ProfileChanged) -> None:
    account.profile = with_changes(account.profile, event.changes)


def _credential_changed(account: AccountState, event: events.CredentialChanged) -> None:
    account.password_hash = event.password_hash


def _closed(account: AccountState, event: events.AccountClosed) -> None:
    account.closed, account.profile, account.password_hash = True, {}, ""


def _handle_claimed(handle: HandleState, event: events.HandleClaimed) -> None:
    handle.uid = event.uid


def _announced(home: HomeState, event: events.HomeAnnounced) -> None:
    home.url, home.retired = event.url, False


def _retired(home: HomeState, event: events.HomeRetired) -> None:
    home.retired = True


FOLDS: Folds = {
    events.UserRegistered: _registered,
    events.ProfileChanged: _profile_changed,
    events.CredentialChanged: _credential_changed,
    events.AccountClosed: _closed,
    events.HandleClaimed: _handle_claimed,
    events.HomeAnnounced: _announced,
    events.HomeRetired: _retired,
    events.AuditRead: unchanged,
    events.DeadLettersHandled: unchanged,
}
