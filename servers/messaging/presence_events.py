"""The public presence feed: one CloudEvents 1.0 message per change of a user's presence. Rule: derived from the event alone.

So that a repeat after a crash is the same message with the same id, and the feed can be made again from the log.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from broker import topology
from broker.port import Outgoing
from domain.event import Event
from domain.events.home import PresenceEvent
from domain.rules.home import is_told
from projections.server.contacters import ContacterIndex
from projections.server.presence import reason
from runtime.times import rfc3339
from servers.store.event_store import Committed

CONTENT_TYPE = "application/cloudevents+json"
TYPE = "flash.presence.changed.v1"

encode = msgspec.json.Encoder().encode


def watching_homes(contacters: ContacterIndex) -> Callable[[Event], Iterable[str]]:
    """The homes that must hear of an event about a user's presence: those of the users who watch that user."""

    def homes(event: Event) -> Iterable[str]:
        return contacters.homes_watching(event.stream_uid) if is_told(event) else ()

    return homes


def presence_feed(committed: Committed, home: str) -> Sequence[Outgoing]:
    """What integrators hear of a committed event; nothing unless a status changed."""
    event = committed.event
    if not isinstance(event, PresenceEvent) or event.status == event.previous:
        return ()
    uid = event.stream_uid
    time = rfc3339(event.at)
    id = f"{home}/{event.originator_id}/{event.originator_version}"
    body = {
        "specversion": "1.0",
        "id": id,
        "source": f"/homes/{home}",
        "type": TYPE,
        "subject": str(uid),
        "time": time,
        "datacontenttype": "application/json",
        "data": {
            "uid": uid,
            "handle": event.handle,
            "home": home,
            "status": event.status,
            "previous": event.previous,
            "since": time,
            "reason": reason(event),
        },
    }
    return (Outgoing(topology.PRESENCE, f"presence.{home}.{uid}.{event.status}", encode(body), CONTENT_TYPE, id),)
