"""What a user may do at home: sessions, status, contacts, sending. Rule: pure; time and ids come in with the command."""

from domain.aggregate import Deciders
from domain.errors import Invalid, NotAContact, NotSent, TooLarge, TooManyRequests, Unauthorized, UnknownUser
from domain.event import Event
from domain.events import home as events
from domain.user import commands
from domain.user.state import REMEMBERED_SENDS, UserState
from domain.values import LAST_MOMENT, MAX_TEXT_BYTES, MAX_TEXT_CHARS

MAX_SESSIONS = 20  # a person's devices, and room for sessions whose death nobody has noticed yet
MAX_CONTACTS = 5_000  # ten times the largest list a person keeps; bounds the welcome part at about 1 MB


def look_up(user: UserState, command: commands.LookUp, now: float) -> list[Event]:
    """Nothing happens."""
    return []


def adopt(user: UserState, command: commands.Adopt | commands.LogIn, now: float) -> list[Event]:
    """Remember the user's handle and name. Nothing happens when they are known, when the user has left, or when this uid has another
    handle: a uid is never given twice."""
    if user.closed or (user.handle, user.name) == (command.handle, command.name) or is_another(user, command.handle):
        return []
    return [events.UserAdopted(at=now, cause=command.cause, handle=command.handle, name=command.name)]


def is_another(user: UserState, handle: str) -> bool:
    """Whether this uid is known here under another handle. The case of a handle says nothing."""
    return bool(user.handle) and user.handle.lower() != handle.lower()


def log_in(user: UserState, command: commands.LogIn, now: float) -> list[Event]:
    """Begin a session, and then end the session that it replaces; in this order contacters see no gap. A status whose time is over lapses
    first, and the session begins as online. Raises `TooManyRequests` at 20 sessions, `Unauthorized` when the account is closed."""
    must_be_open(user)
    if is_another(user, command.handle):
        raise Unauthorized("This number belongs to somebody else here.")
    replaced = command.replaces if command.replaces in user.sessions else None
    if len(user.sessions) - (replaced is not None) >= MAX_SESSIONS:
        raise TooManyRequests(f"A user may have {MAX_SESSIONS} sessions at once.")
    over = user.until is not None and user.until <= now
    status, note = ("online", "") if over else (user.chosen, user.note)
    known = adopt(user, command, now)
    # Contacters are notified by the StatusChanged only; the additional LoggedIn changes nothing that they can see.
    lapsed = [_status_changed(user, status, note, None, now, command.cause)] if over and user.sessions else []
    begun = events.LoggedIn(
        at=now,
        cause=command.cause,
        session=command.session,
        name=command.name,
        client=command.client,
        handle=command.handle,
        status=status,
        previous=status if lapsed else user.status,
        note=note,
    )
    if replaced is None:
        return [*known, *lapsed, begun]
    ended = events.LoggedOff(
        at=now, cause=command.cause, session=replaced, reason="lost", handle=command.handle, status=status, previous=status, note=note
    )
    return [*known, *lapsed, begun, ended]


def log_off(user: UserState, command: commands.LogOff, now: float) -> list[Event]:
    """End a session. Nothing happens when it has ended before."""
    if command.session not in user.sessions:
        return []
    status = "offline" if len(user.sessions) == 1 else user.status
    return [
        events.LoggedOff(
            at=now,
            cause=command.cause,
            session=command.session,
            reason=command.reason,
            handle=user.handle,
            status=status,
            previous=user.status,
            note=user.note if status != "offline" else "",
        )
    ]


def note_route(user: UserState, command: commands.NoteRoute, now: float) -> list[Event]:
    """Note whether a client can be called. Nothing happens when its session is over."""
    if command.session not in user.sessions:
        return []
    why = command.why
    return [events.RouteProbed(at=now, cause=command.cause, session=command.session, behind_firewall=why is not None, why=why)]


def set_status(user: UserState, command: commands.SetStatus, now: float) -> list[Event]:
    """Choose a status. Nothing happens when nothing would change. Raises `Invalid` for a time that is over, `Unauthorized`."""
    must_be_open(user)
    if command.until is not None and not now < command.until <= LAST_MOMENT:
        raise Invalid("until", "a time to come before the year 10000, or null")
    if (user.chosen, user.note, user.until) == (command.status, command.note, command.until):
        return []
    return [_status_changed(user, command.status, command.note, command.until, now, command.cause)]


def lapse_status(user: UserState, command: commands.LapseStatus, now: float) -> list[Event]:
    """Fall back to online when the time of the chosen status is over."""
    if user.until is None or user.until > now:
        return []
    return [_status_changed(user, "online", "", None, now, command.cause)]


def _status_changed(user: UserState, chosen: str, note: str, until: float | None, now: float, cause: str) -> events.StatusChanged:
    status = chosen if user.sessions else "offline"
    return events.StatusChanged(
        at=now, cause=cause, handle=user.handle, chosen=chosen, status=status, previous=user.status, note=note, until=until
    )


def put_contact(user: UserState, command: commands.PutContact, now: float) -> list[Event]:
    """Add a contact, or change its alias and `notify`. Raises `Invalid` when the list is full; `UnknownUser` for a contact without a handle
    that is not on the list, because the caller has seen it there and it was removed meanwhile; `Unauthorized`."""
    must_be_open(user)
    wanted = command.contact
    known = user.contacts.get(wanted.uid)
    if known is None:
        if not wanted.handle:
            raise UnknownUser(uid=wanted.uid)
        if len(user.contacts) >= MAX_CONTACTS:
            raise Invalid("uid", f"at most {MAX_CONTACTS} contacts on a list")
        return [events.ContactAdded(at=now, cause=command.cause, **wanted._asdict())]
    if (known.alias, known.notify) == (wanted.alias, wanted.notify):
        return []
    return [events.ContactChanged(at=now, cause=command.cause, uid=wanted.uid, alias=wanted.alias, notify=wanted.notify)]


def remove_contact(user: UserState, command: commands.RemoveContact, now: float) -> list[Event]:
    """Take a contact off the list. Nothing happens when it is not on the list."""
    contact = user.contacts.get(command.contact)
    if contact is None:
        return []
    return [events.ContactRemoved(at=now, cause=command.cause, uid=contact.uid, home=contact.home)]


def add_contacter(user: UserState, command: commands.AddContacter, now: float) -> list[Event]:
    """Remember a contacter, and tell them the present presence. Nothing happens when the user has left, because nothing will change."""
    if user.closed:
        return []
    return [
        events.ContacterAdded(
            at=now,
            cause=command.cause,
            uid=command.contacter,
            home=command.home,
            status=user.status,
            since=user.since,
            note=user.note if user.sessions else "",
            name=user.name,
        )
    ]


def remove_contacter(user: UserState, command: commands.RemoveContacter, now: float) -> list[Event]:
    """Forget a contacter. Nothing happens when they are not known."""
    home = user.contacters.get(command.contacter)
    if home is None:
        return []
    return [events.ContacterRemoved(at=now, cause=command.cause, uid=command.contacter, home=home)]


def send(user: UserState, command: commands.Send, now: float) -> list[Event]:
    """Accept a popup for a contact. A repeated id changes nothing. Raises `NotAContact`, `TooLarge`, `Unauthorized`."""
    if len(command.text) > MAX_TEXT_CHARS or len(command.text.encode()) > MAX_TEXT_BYTES:
        raise TooLarge(f"A text has at most {MAX_TEXT_CHARS} characters and {MAX_TEXT_BYTES} bytes.", field="text")
    if command.id in user.sent:
        return []
    must_be_open(user)
    contact = user.contacts.get(command.to)
    if contact is None:
        raise NotAContact(uid=command.to)
    return [
        events.MessageSent(
            at=now,
            cause=command.id,
            id=command.id,
            uid=command.uid,
            handle=command.handle,
            name=command.name,
            to=command.to,
            to_home=contact.home,
            text=command.text,
            in_reply_to=command.in_reply_to,
            urgent=command.urgent,
        )
    ]


def have_sent(user: UserState, command: commands.HaveSent, now: float) -> list[Event]:
    """Nothing happens. Raises `NotSent` for a message that was never sent to that user. When so many were sent since that not all are
    remembered, an unknown one is believed: whoever says so speaks for its own users only (decision 45)."""
    sent = user.sent.get(command.id)
    fits = len(user.sent) >= REMEMBERED_SENDS if sent is None else sent[1] in (0, command.to)
    if not fits and not user.closed:
        raise NotSent(id=command.id)
    return []


def must_be_open(user: UserState) -> None:
    """Raises `Unauthorized` for a user who left for good."""
    if user.closed:
        raise Unauthorized("This account is closed.")


DECIDERS: Deciders = {
    commands.LookUp: look_up,
    commands.Adopt: adopt,
    commands.LogIn: log_in,
    commands.LogOff: log_off,
    commands.NoteRoute: note_route,
    commands.SetStatus: set_status,
    commands.LapseStatus: lapse_status,
    commands.PutContact: put_contact,
    commands.RemoveContact: remove_contact,
    commands.AddContacter: add_contacter,
    commands.RemoveContacter: remove_contacter,
    commands.Send: send,
    commands.HaveSent: have_sent,
}
