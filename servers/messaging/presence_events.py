"""The public presence feed: one CloudEvents 1.0 message per change of a user's presence. Rule: it is derived from the event alone.

A repeat after a crash is therefore the same message with the same id, and the feed can be made again from the log.
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


class PresenceChanged(msgspec.Struct):
    """The data of one change, as `docs/asyncapi.yaml` describes it."""

    uid: int
    handle: str
    home: str
    status: str
    previous: str
    since: str
    reason: str


class CloudEvent(msgspec.Struct, kw_only=True):
    """The envelope that CloudEvents 1.0 prescribes."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str = TYPE
    subject: str
    time: str
    datacontenttype: str = "application/json"
    data: PresenceChanged


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
    time, source = rfc3339(event.at), f"/homes/{home}"
    id = f"{home}/{event.originator_id}/{event.originator_version}"
    change = PresenceChanged(uid, event.handle, home, event.status, event.previous, time, reason(event))
    body = CloudEvent(id=id, source=source, subject=str(uid), time=time, data=change)
    return (Outgoing(topology.PRESENCE, f"presence.{home}.{uid}.{event.status}", encode(body), CONTENT_TYPE, id, mandatory=True),)
