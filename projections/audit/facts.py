"""What the audit indexes of an event: its user, its cause, its popups, its presence. Rule: never fails, whatever the bytes are.

The stored fields are read without the event classes. That takes a fifth of the time, and an event of a later version of Flash is
indexed as far as its fields are known.
"""

import re
from typing import Any, NamedTuple

import msgpack

from domain.events import global_server as of_global
from domain.events import home as of_home
from domain.registry.registered_home import GLOBAL
from projections.audit.rows import Record

_OWN_STREAM = re.compile(r"(?:user|mailbox|account|audit)-(\d{1,18})")  # 19 digits may be too large a number for the database
_BY_OWNER = frozenset((of_home.ReceiptQueued.TOPIC,))  # news of a popup that the stream's owner has sent
_BY_SENDER = frozenset(
    kind.TOPIC
    for kind in (
        of_home.MessageSent,
        of_home.MessageQueued,
        of_home.MessageDone,
        of_home.MessageBounced,
        of_home.MessageExpired,
        of_home.MessageErased,
    )
)
_LIST = of_home.MessagesDelivered.TOPIC
_LOGIN = of_home.LoggedIn.TOPIC
_PRESENCE = frozenset((_LOGIN, of_home.LoggedOff.TOPIC, of_home.StatusChanged.TOPIC))
_ADOPTED = of_home.UserAdopted.TOPIC
_REGISTERED = of_global.UserRegistered.TOPIC

MAX_TIME = 1e11  # seconds: the year 5138, and no infinity


class Moved(NamedTuple):
    """A presence event. `changed`: the status is another one than before; `restart`: the home has restarted and lost the session."""

    uid: int
    status: str
    changed: bool
    login: bool
    restart: bool


class Named(NamedTuple):
    """Who a user is. `sure`: the Global Server says so, and not only the home."""

    uid: int
    handle: str
    home: str
    sure: bool


class Facts(NamedTuple):
    """`uid`: the user whose stream it is; `popups`: (message id, sender) of each popup that the event is about; `at`: the event's own time,
    None where it has none."""

    uid: int | None
    cause: str
    popups: tuple[tuple[str, int], ...]
    moved: Moved | None
    person: Named | None
    at: float | None = None


def facts(record: Record, source: str) -> Facts:
    """What the audit can look up of this event of `source`."""
    fields = fields_of(record.data)
    cause = fields.get("cause")
    topic, stream = record.topic, record.stream
    uid = _owner(stream)
    if uid is None and topic == of_global.HandleClaimed.TOPIC:
        uid = _number(fields.get("uid"))
    popups: tuple[tuple[str, int], ...] = ()
    moved = person = None
    if topic in _BY_SENDER:
        popups = _pair(fields.get("id"), fields.get("uid"))
    elif topic in _BY_OWNER:
        popups = _pair(fields.get("id"), uid)
    elif topic == _LIST:
        popups = _listed(fields.get("messages"))
    elif topic in _PRESENCE and uid is not None:
        status = str(fields.get("status"))
        moved = Moved(uid, status, status != fields.get("previous"), topic == _LOGIN, fields.get("reason") == "restart")
    elif topic == _ADOPTED and uid is not None:
        person = Named(uid, str(fields.get("handle")), source, sure=False)
    elif topic == _REGISTERED and uid is not None and source == GLOBAL:
        person = Named(uid, str(fields.get("handle")), str(fields.get("home")), sure=True)
    at = fields.get("at")
    return Facts(uid, cause if isinstance(cause, str) else "", popups, moved, person, _time(at))


def fields_of(data: bytes) -> dict[str, Any]:
    """The stored fields; an empty map for bytes that are no msgpack map."""
    try:
        fields = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        return {}
    return fields if isinstance(fields, dict) else {}


def _owner(stream: str) -> int | None:
    found = _OWN_STREAM.fullmatch(stream)
    return int(found[1]) if found else None


def _number(value: Any) -> int | None:
    return value if type(value) is int and abs(value) < 2**63 else None


def _time(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and abs(value) < MAX_TIME else None


def _pair(message: Any, sender: Any) -> tuple[tuple[str, int], ...]:
    if isinstance(message, str) and (number := _number(sender)) is not None:
        return ((message, number),)
    return ()


def _listed(messages: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(messages, list):
        return ()
    return tuple(pair for entry in messages if isinstance(entry, list) and len(entry) >= 2 for pair in _pair(entry[0], entry[1]))
