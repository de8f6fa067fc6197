"""The JSON bodies of parts and answers. Rule: shapes are those of `docs/protocol.md`, nowhere else decided.

Message bodies are the hot path: about 2 µs each.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from domain.events.home import MessageQueued
from domain.mailbox.decide import Waiting
from domain.user.state import Contact, UserState
from projections.server.presence import Change, Presence
from runtime.times import rfc3339
from servers.sessions.parts import Part

encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=512)  # for the few uses of one commit's times; an entry takes 250 bytes
def instant(seconds: float | None) -> str | None:
    """Seconds since 1970 -> RFC 3339 UTC with microseconds."""
    return None if seconds is None else rfc3339(seconds)


class _Sender(msgspec.Struct):
    uid: int
    handle: str
    name: str


class _Message(msgspec.Struct):
    seq: int
    id: str
    from_: _Sender = msgspec.field(name="from")
    text: str
    sent_at: str
    in_reply_to: str | None
    urgent: bool


class _Receipt(msgspec.Struct):
    seq: int
    id: str
    to: int
    state: str
    at: str
    why: str | None


def part_of(event: Waiting) -> Part:
    """A waiting mailbox event as the part that a session sends."""
    seq, id = event.seq, event.id
    if isinstance(event, MessageQueued):
        sender = _Sender(event.uid, event.handle, event.name)
        message = _Message(seq, id, sender, event.text, rfc3339(event.sent_at), event.in_reply_to, event.urgent)
        return Part("message", encode(message), seq)
    return Part("receipt", encode(_Receipt(seq, id, event.to, event.state, rfc3339(event.settled_at), event.why)), seq)


def contact_view(contact: Contact, presence: Presence) -> dict[str, Any]:
    """A *contact* of the protocol."""
    return {
        "uid": contact.uid,
        "handle": contact.handle,
        "name": presence.name or contact.name or contact.handle,  # of one who left for good, only the handle is known
        "alias": contact.alias,
        "notify": contact.notify,
        "presence": {"status": presence.status, "since": instant(presence.since), "note": presence.note},
    }


def change_view(change: Change, notify: bool) -> bytes:
    """One entry of a `presence` part, as one watcher sees it."""
    return encode(
        {
            "uid": change.uid,
            "status": change.status,
            "since": instant(change.since),
            "note": change.note,
            "reason": change.reason,
            "notify": notify,
        }
    )


def presence_part(changes: Iterable[bytes]) -> Part:
    """Several changes as one part; the entries are encoded once and shared among watchers."""
    return Part("presence", b'{"changes":[' + b",".join(changes) + b"]}")


def done_part(id: str) -> Part:
    """The user closed this message on some session."""
    return Part("done", encode({"id": id}))


def contacts_part(added: list[dict[str, Any]], removed: list[int]) -> Part:
    """The contact list changed."""
    return Part("contacts", encode({"added": added, "removed": removed}))


def status_view(chosen: str, note: str, until: float | None) -> dict[str, Any]:
    """How a user chose to be, as only they are told."""
    return {"status": chosen, "note": note, "until": instant(until)}


def status_part(chosen: str, note: str, until: float | None) -> Part:
    """The user's own status was chosen anew, or its time is over."""
    return Part("status", encode(status_view(chosen, note, until)))


def goodbye_part(reason: str, reconnect_after_s: float | None) -> Part:
    """The last part."""
    return Part("goodbye", encode({"reason": reason, "reconnect_after_s": reconnect_after_s}))


def welcome_part(session: str, user: UserState, blank_s: float, verdict: str, count: int, contacts: list[dict[str, Any]]) -> Part:
    """The first part."""
    body = {
        "session": session,
        "uid": user.uid,
        "blank_s": blank_s,
        "resume": {"verdict": verdict, "count": count},
        "contacts": contacts,
        "status": status_view(user.chosen, user.note, user.until),
    }
    return Part("welcome", encode(body))
