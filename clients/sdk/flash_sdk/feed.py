"""The presence feed of integrators, over HTTP or AMQP. Rule: values only, read from JSON by `of`.

Snapshot → (PresenceEvent | SilentHomes)… → Disconnected → … ; another Snapshot only after a gap.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from flash_sdk import json_fields as fields
from flash_sdk.events import Disconnected
from flash_sdk.json_fields import Json

TYPE = "flash.presence.changed.v1"


@dataclass(frozen=True, slots=True)
class PresenceEvent:
    """One change: a CloudEvent of type `flash.presence.changed.v1`. Each reading of it gives the same `id`, so that repeats can be dropped.

    `offset`: its place in the log, if it was read from there over AMQP; go on with `start=offset + 1`. `cursor`: the place after it, if it
    was read over HTTP; go on with `after=cursor`. `era`: of the log; another one than before means that changes between may be lost.
    `life`: of the home's own log: in another one, versions in `id` may come again.
    """

    id: str
    time: datetime
    uid: int
    handle: str
    home: str
    status: str
    previous: str
    since: datetime | None
    reason: str
    offset: int | None = None
    era: str | None = None
    life: str | None = None
    cursor: str | None = None

    @classmethod
    def of(cls, body: bytes, offset: int | None = None) -> Self | None:
        """Read the JSON of a structured-mode CloudEvent; None for an unknown type. Raises `ProtocolError`."""
        return cls.of_json(fields.parse_object(body), offset)

    @classmethod
    def of_json(cls, event: Json, offset: int | None = None, cursor: str | None = None) -> Self | None:
        """Read the JSON object of a CloudEvent; otherwise as `of`."""
        if fields.text(event, "type") != TYPE:
            return None
        data = fields.section(event, "data")
        return cls(
            id=fields.text(event, "id"),
            time=fields.moment(event, "time"),
            uid=fields.integer(data, "uid"),
            handle=fields.text(data, "handle", ""),
            home=fields.text(data, "home"),
            status=fields.text(data, "status"),
            previous=fields.text(data, "previous", ""),
            since=fields.optional_moment(data, "since"),
            reason=fields.text(data, "reason", ""),
            offset=offset,
            cursor=cursor,
            era=fields.text(event, "era", "") or None,
            life=fields.text(event, "life", "") or None,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """The present status of a user: `online`, `away`, `dnd`, `offline` or `unknown`. `id`: of the change that led to it, or None."""

    uid: int
    handle: str
    home: str
    status: str
    since: datetime | None
    id: str | None

    @classmethod
    def of(cls, source: Json) -> Self:
        """Read a *state* of the protocol. Raises `ProtocolError`."""
        return cls(
            uid=fields.integer(source, "uid"),
            handle=fields.text(source, "handle"),
            home=fields.text(source, "home"),
            status=fields.text(source, "status"),
            since=fields.optional_moment(source, "since"),
            id=fields.optional_text(source, "id"),
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The present status of every user that was asked for. Exactly the later changes follow. `silent`: homes that nothing is heard of.

    `gap`: changes were missed and cannot be had any more, so forget what you knew and begin with this snapshot.
    """

    users: tuple[Standing, ...]
    silent: tuple[str, ...]
    cursor: str
    gap: bool = False


@dataclass(frozen=True, slots=True)
class SilentHomes:
    """The homes that nothing is heard of right now: the status of their users may be old. Given on each connection, and on each change."""

    homes: tuple[str, ...]


FeedItem = Snapshot | PresenceEvent | SilentHomes | Disconnected


def version(id: str) -> int:
    """The number at the end of a change's id, which rises with each change of a user. 0 for an id of another shape."""
    number = id.rpartition("/")[2]
    return int(number) if number.isascii() and number.isdigit() else 0
