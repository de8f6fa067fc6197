"""The public presence feed: one CloudEvents 1.0 message per change of a user's presence. Rule: it is derived from the event alone, and
names the era of the stream that it is published to.

A repeat after a crash is therefore a message with the same id that says the same, and the feed can be made again from the log.
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
from servers.trust.server_identity import ServerIdentity, verify

CONTENT_TYPE = "application/cloudevents+json"
TYPE = "flash.presence.changed.v1"

ERA_TYPE = "flash.presence.era.v1"
ERA_PURPOSE = "presence era"

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
    """The envelope that CloudEvents 1.0 prescribes. `era` and `life` (of the home's log) are extensions, and texts because integers have 32
    bits there; `era` is missing while the home has never heard of one."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str = TYPE
    subject: str
    time: str
    datacontenttype: str = "application/json"
    era: str | msgspec.UnsetType = msgspec.UNSET
    life: str | msgspec.UnsetType = msgspec.UNSET
    data: PresenceChanged


class EraBegan(msgspec.Struct):
    """The data of the message that begins an era of the feed: what was published before it, in another stream, is no longer here. `former`:
    the era before, 0 for the first one; `signature`: the Global Server's, in hex."""

    era: int
    former: int
    signature: str


class _EraEvent(msgspec.Struct):
    type: str
    data: EraBegan


class _EraStatement(msgspec.Struct, array_like=True):
    era: int
    former: int


_read_era = msgspec.json.Decoder(_EraEvent).decode


def era_began(identity: ServerIdentity, era: int, former: int, now: float) -> Outgoing:
    """The first message of an era, by the Global Server. Integrators pass it over, as every type that they do not know."""
    signature = identity.sign(ERA_PURPOSE, msgspec.msgpack.encode(_EraStatement(era, former))).hex()
    id = f"{identity.name}/era/{era}"
    event = {
        "specversion": "1.0", "id": id, "source": f"/{identity.name}", "type": ERA_TYPE, "subject": str(era), "time": rfc3339(now),
        "datacontenttype": "application/json", "data": EraBegan(era, former, signature),
    }  # fmt: skip
    return Outgoing(topology.PRESENCE, f"era.{era}", encode(event), CONTENT_TYPE, id, mandatory=True)


def era_told(body: bytes) -> EraBegan | None:
    """The era that a message of the feed seems to begin, whoever made it; None for any other message."""
    try:
        event = _read_era(body)
    except (msgspec.DecodeError, ValueError):
        return None
    return event.data if event.type == ERA_TYPE else None


def era_that_began(body: bytes, key: bytes) -> EraBegan | None:
    """The era that a message of the feed begins; None for any other message. `key`: the Global Server's."""
    told = era_told(body)
    try:
        signature = bytes.fromhex(told.signature) if told is not None else b""
    except ValueError:
        return None
    said = msgspec.msgpack.encode(_EraStatement(told.era, told.former)) if told is not None else b""
    return told if verify(key, ERA_PURPOSE, said, signature) else None


def watching_homes(contacters: ContacterIndex) -> Callable[[Event], Iterable[str]]:
    """The homes that must hear of an event about a user's presence: those of the users who watch that user."""

    def homes(event: Event) -> Iterable[str]:
        return contacters.homes_watching(event.stream_uid) if is_told(event) else ()

    return homes


def presence_feed(committed: Committed, home: str, era: int, life: int) -> Sequence[Outgoing]:
    """What integrators hear of a committed event; nothing unless a status changed. `era`: of the stream, 0 when none is known; `life`: of
    the log, 0 before its first."""
    event = committed.event
    if not isinstance(event, PresenceEvent) or event.status == event.previous:
        return ()
    return (presence_message(event, home, era, life),)


def presence_message(event: PresenceEvent, home: str, era: int, life: int) -> Outgoing:
    """The message about an event; a later one with the same id says the same, in whatever era."""
    uid = event.stream_uid
    time, source = rfc3339(event.at), f"/homes/{home}"
    id = f"{home}/{event.originator_id}/{event.originator_version}"
    change = PresenceChanged(uid, event.handle, home, event.status, event.previous, time, reason(event))
    its_era, its_life = (str(number) if number else msgspec.UNSET for number in (era, life))
    body = CloudEvent(id=id, source=source, subject=str(uid), time=time, era=its_era, life=its_life, data=change)
    return Outgoing(topology.PRESENCE, f"presence.{home}.{uid}.{event.status}", encode(body), CONTENT_TYPE, id, mandatory=True)
