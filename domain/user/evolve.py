"""How a user's events change `UserState`. Rule: an event never fails to apply."""

from domain.aggregate import Folds, unchanged
from domain.events import home as events
from domain.user.state import REMEMBERED_SENDS, Contact, UserState


def _adopted(user: UserState, event: events.UserAdopted) -> None:
    user.handle, user.name = event.handle, event.name


def _presence(user: UserState, event: events.PresenceEvent) -> None:
    if event.status != event.previous:
        user.since = event.at


def _logged_in(user: UserState, event: events.LoggedIn) -> None:
    _presence(user, event)
    user.sessions[event.session] = event.client
    user.note = event.note
    if user.until is not None and user.until <= event.at:  # the chosen status had lapsed
        user.chosen, user.until = event.status, None


def _logged_off(user: UserState, event: events.LoggedOff) -> None:
    _presence(user, event)
    user.sessions.pop(event.session, None)


def _status_changed(user: UserState, event: events.StatusChanged) -> None:
    _presence(user, event)
    user.chosen, user.note, user.until = event.chosen, event.note, event.until


def _closed(user: UserState, event: events.UserClosed) -> None:
    user.closed = True
    user.name = user.note = ""


def _contact_added(user: UserState, event: events.ContactAdded) -> None:
    user.contacts[event.uid] = Contact(event.uid, event.handle, event.name, event.home, event.alias, event.notify)


def _contact_changed(user: UserState, event: events.ContactChanged) -> None:
    contact = user.contacts.get(event.uid)
    if contact is not None:
        user.contacts[event.uid] = contact._replace(alias=event.alias, notify=event.notify)


def _contact_removed(user: UserState, event: events.ContactRemoved) -> None:
    user.contacts.pop(event.uid, None)


def _contacter_added(user: UserState, event: events.ContacterAdded) -> None:
    user.contacters[event.uid] = event.home


def _contacter_removed(user: UserState, event: events.ContacterRemoved) -> None:
    user.contacters.pop(event.uid, None)


def _message_sent(user: UserState, event: events.MessageSent) -> None:
    user.sent.add(event.id, event.at, event.to)
    if len(user.sent) > REMEMBERED_SENDS:
        user.sent.forget_oldest()


FOLDS: Folds = {
    events.UserAdopted: _adopted,
    events.LoggedIn: _logged_in,
    events.LoggedOff: _logged_off,
    events.RouteProbed: unchanged,  # for the history only: a route lives as long as its session's connection
    events.StatusChanged: _status_changed,
    events.UserClosed: _closed,
    events.ContactAdded: _contact_added,
    events.ContactChanged: _contact_changed,
    events.ContactRemoved: _contact_removed,
    events.ContacterAdded: _contacter_added,
    events.ContacterRemoved: _contacter_removed,
    events.MessageSent: _message_sent,
}
