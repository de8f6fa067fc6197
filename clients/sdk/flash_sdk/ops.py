"""What the ops of an installation can ask. Rule: each call needs the role `ops`, and whoever asks is noted."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

from flash_sdk import json_fields as fields

Call = Callable[..., Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Heavy:
    """What a user, an address or another server used of one server in the last minute, at least."""

    kind: str
    who: str
    cpu_s: float
    bytes: int
    waited_s: float

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Read one row. Raises `ProtocolError`."""
        kind, who = fields.text(data, "kind"), fields.text(data, "who")
        return cls(kind, who, fields.seconds(data, "cpu_s") or 0.0, fields.integer(data, "bytes"), fields.seconds(data, "waited_s") or 0.0)


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """One server. `answers`: whether it could be asked; without an answer there are no figures."""

    server: str
    answers: bool
    cpu_s: float
    waiting: int
    heaviest: list[Heavy]

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Read one server. Raises `ProtocolError`."""
        heaviest = [Heavy.of(each) for each in fields.sections(data, "heaviest")]
        cpu_s, waiting = fields.seconds(data, "cpu_s") or 0.0, fields.optional_integer(data, "waiting") or 0
        return cls(fields.text(data, "server"), fields.flag(data, "answers"), cpu_s, waiting, heaviest)


@dataclass(frozen=True, slots=True)
class Throttle:
    """Who has turns at a tenth, until when, and whose deed it was."""

    kind: str
    who: str
    until: str
    by: str

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Read one throttle. Raises `ProtocolError`."""
        return cls(*(fields.text(data, name) for name in ("kind", "who", "until", "by")))


class Ops:
    """The calls. Each may raise what the methods of `FlashClient` raise."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def heavy(self) -> tuple[list[ServerLoad], list[Throttle]]:
        """Who used most of each server in the last minute, and who has turns at a tenth."""
        told = await self._call("GET", "/v1/ops/heavy")
        servers = [ServerLoad.of(each) for each in fields.sections(told, "servers")]
        return servers, [Throttle.of(each) for each in fields.sections(told, "throttles")]

    async def throttle(self, kind: str, name: str, for_s: int) -> Throttle:
        """Give a user, an address or a home turns at a tenth, at every server. Refused: `unknown_user`, `invalid`."""
        return Throttle.of(await self._call("POST", "/v1/ops/throttles", {"kind": kind, "name": name, "for_s": for_s}))

    async def end_throttle(self, kind: str, name: str) -> None:
        """Give it all turns again. A second time changes nothing. Refused: `unknown_user`, `invalid`."""
        await self._call("POST", "/v1/ops/throttles/end", {"kind": kind, "name": name})
