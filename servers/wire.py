"""The JSON bodies of parts and answers. Rule: shapes are those of `docs/protocol.md`, nowhere else decided.

Message bodies are the hot path: about 2 µs each.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from domain.home_events import MessageQueued
from domain.mailbox import Waiting
from domain.user_state import Contact
from projections.presence import Change, Presence
from servers.parts import Part

encode = msgspec.json.Encoder().encode


def instant(seconds: float | None) -> str | None:
    """Seconds since 1970 -> RFC 3339 UTC with microseconds."""
    if seconds is None:
        return None
    whole = int(seconds)
    micros = round((seconds - whole) * 1e6)
    if micros == 1_000_000:
        whole, micros = whole + 1, 0
    return f"{_second(whole)}.{micros:06d}Z"


@lru_cache(maxsize=1024)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def part_of(event: Waiting) -> Part:
    """A waiting mailbox event as the part that a session sends."""
    if isinstance(event, MessageQueued):
        body = {
            "seq": event.seq,
            "id": event.id,
            "from": {"uid": event.uid, "handle": event.handle, "name": event.name},
            "text": event.text,
            "sent_at": instant(event.sent_at),
            "in_reply_to": event.in_reply_to,
            "urgent": event.urgent,
        }
        return Part("message", encode(body), event.seq)
    receipt = {
        "seq": event.seq,
        "id": event.id,
        "to": event.to,
        "state": event.state,
        "at": instant(event.settled_at),
        "why": event.why,
    }
    return Part("receipt", encode(receipt), event.seq)


def contact_view(contact: Contact, presence: Presence) -> dict[str, Any]:
    """A *contact* of the protocol."""
    return {
        "uid": contact.uid,
        "handle": contact.handle,
        "name": presence.name or contact.name,
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


def goodbye_part(reason: str, reconnect_after_s: float | None) -> Part:
    """The last part."""
    return Part("goodbye", encode({"reason": reason, "reconnect_after_s": reconnect_after_s}))


def welcome_part(session: str, uid: int, blank_s: float, verdict: str, count: int, contacts: list[dict[str, Any]]) -> Part:
    """The first part."""
    body = {
        "session": session,
        "uid": uid,
        "blank_s": blank_s,
        "resume": {"verdict": verdict, "count": count},
        "contacts": contacts,
    }
    return Part("welcome", encode(body))
