"""How the Global Server's events change accounts, handles, homes and auditors' trails. Rule: an event never fails to apply."""

from domain.aggregate import Folds, unchanged
from domain.events import global_server as events
from domain.profile import with_changes
from domain.registry.state import AccountState, HandleState, HomeState, UidsState


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


def _enrolled(home: HomeState, event: events.HomeEnrolled) -> None:
    home.key = event.key


def _certified(home: HomeState, event: events.CertificateIssued) -> None:
    home.number = event.number


def _uids_reserved(uids: UidsState, event: events.UidsReserved) -> None:
    uids.last = event.last


def _life_accepted(home: HomeState, event: events.LifeAccepted) -> None:
    home.accepted = [event.life, event.end, event.known]


def _url_allowed(home: HomeState, event: events.UrlAllowed) -> None:
    home.allowed = event.url


def _revoked(home: HomeState, event: events.HomeRevoked) -> None:
    home.revoked = event.number


def _retired(home: HomeState, event: events.HomeRetired) -> None:
    home.retired = True


FOLDS: Folds = {
    events.UserRegistered: _registered,
    events.ProfileChanged: _profile_changed,
    events.CredentialChanged: _credential_changed,
    events.AccountClosed: _closed,
    events.HandleClaimed: _handle_claimed,
    events.HomeAnnounced: _announced,
    events.HomeEnrolled: _enrolled,
    events.CertificateIssued: _certified,
    events.UrlAllowed: _url_allowed,
    events.LifeAccepted: _life_accepted,
    events.UidsReserved: _uids_reserved,
    events.HomeRevoked: _revoked,
    events.HomeRetired: _retired,
    events.AuditRead: unchanged,
    events.DeadLettersHandled: unchanged,
}
