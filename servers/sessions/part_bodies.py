"""Parts, made of what the home knows. Rule: each body is one of the shapes in `servers/sessions/views.py`.

Message bodies are on the hot path: each takes about 2 µs.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import Raw

from domain.events.home import MessageQueued, ReceiptQueued
from domain.user.state import Contact, UserState
from projections.server.presence import Change, Presence
from runtime.times import rfc3339
from servers.sessions import views
from servers.sessions.parts import Part

encode = msgspec.json.Encoder().encode


def instant(seconds: float | None) -> str | None:
    """Seconds since 1970 as RFC 3339; None stays None."""
    return None if seconds is None else rfc3339(seconds)


def part_of(event: MessageQueued | ReceiptQueued) -> Part:
    """A waiting mailbox event as the part that a session sends."""
    seq, id = event.seq, event.id
    if isinstance(event, MessageQueued):
        sender = views.Sender(event.uid, event.handle, event.name)
        message = views.Message(seq, id, sender, event.text, rfc3339(event.sent_at), event.in_reply_to, event.urgent)
        return Part("message", encode(message), seq)
    receipt = views.Receipt(seq, id, event.to, event.state, rfc3339(event.settled_at), event.why)
    return Part("receipt", encode(receipt), seq)


def contact_view(contact: Contact, presence: Presence) -> views.Contact:
    """A contact as the protocol shows it."""
    return views.Contact(
        contact.uid,
        contact.handle,
        presence.name or contact.name or contact.handle,  # of a user whose account is closed, only the handle is known
        contact.alias,
        contact.notify,
        views.Presence(presence.status, instant(presence.since), presence.note),
    )


def change_view(change: Change, notify: bool) -> Raw:
    """One entry of a `presence` part, as one watcher sees it."""
    return Raw(encode(views.PresenceChange(change.uid, change.status, instant(change.since), change.note, change.reason, notify)))


class Told(NamedTuple):
    """One entry of a `presence` part: about whom it is, and how one kind of watcher sees it. Watchers share it."""

    uid: int
    view: Raw


def presence_part(changes: Iterable[Told]) -> Part:
    """Several changes as one part; the entries are encoded once."""
    return Part("presence", encode(views.PresenceChanges([change.view for change in changes])))


def done_part(id: str) -> Part:
    """The user closed this message on some session."""
    return Part("done", encode(views.Done(id)))


def contacts_part(added: list[views.Contact], removed: list[int]) -> Part:
    """The contact list changed."""
    return Part("contacts", encode(views.ContactChanges(added, removed)))


def status_part(chosen: str, note: str, until: float | None) -> Part:
    """The user chose another status, or the time of the status is over."""
    return Part("status", encode(views.OwnStatus(chosen, note, instant(until))))


def goodbye_part(reason: str, reconnect_after_s: float | None) -> Part:
    """The last part."""
    return Part("goodbye", encode(views.Goodbye(reason, reconnect_after_s)))


def welcome_head(session: str, user: UserState, blank_s: float, verdict: str, count: int) -> views.Welcome:
    """The first part without its contacts."""
    status = views.OwnStatus(user.chosen, user.note, instant(user.until))
    return views.Welcome(session, user.uid, blank_s, views.Resumed(verdict, count), [], status)
