"""A console's server that keeps simple lists. Rule: it says what it was given, however nasty, and remembers being asked."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgpack

from domain.errors import BadCredentials, Unauthorized, UnknownUser
from domain.mailbox.state import MailboxState
from domain.user.state import UserState
from projections.audit.rows import AuditFilter, AuditRow, Life, Online, Page, Person, Shown, StateAt, Step
from servers.global_server.console import DeadLetterSummary, HomeSeen
from servers.security.identity import Identity
from tests.edge.stand_ins import StandInHeavyUse

T = TypeVar("T")
U = TypeVar("U")
OPS = Identity(uid=9, handle="opal", name="Opal", home="h1", home_url="", expires_at=4e9, roles=frozenset({"ops"}))
USER = Identity(uid=1, handle="ann", name="Ann", home="h1", home_url="", expires_at=4e9)
NASTY = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"
NOW = 1_700_000_100.0
FIGURES = {"sessions": 3, "waiting": 2, "relay_lag": 7, "inbox": 5, "writer": 0, "projections": {"presence": 4}, "dead": 1, "position": 99}


class OpsTokens:
    """Knows an ops token, a user's and, by its own refusal, an expired one."""

    def verify(self, token: str, said: str = "") -> Identity:
        known = {"ops-token": OPS, "user-token": USER}
        if token not in known:
            raise Unauthorized("The token has expired; ask the Global Server for a new one.")
        return known[token]

    def recognise(self, said: str) -> Identity | None:
        return None


def row(number: int, topic: str = "user.message_sent", **fields: Any) -> AuditRow:
    """An event in ann's stream. `fields`: what is stored."""
    data = msgpack.packb({"at": NOW, "cause": "m1", **fields})
    return AuditRow(number, "h1", number, "user-1", number, topic, NOW - 100 + number, 1, "ann", "m1", data)


@dataclass
class StandInConsole:
    """Ann's history, one popup of hers, and one dead letter, all with nasty names."""

    nasty: str = NASTY
    asked: list[tuple[str, Any]] = field(default_factory=list)
    tails: list["asyncio.Queue[Sequence[AuditRow]]"] = field(default_factory=list)
    ended_tails: int = 0
    failure: Exception | None = None
    heavy: StandInHeavyUse = field(default_factory=lambda: StandInHeavyUse(NASTY))

    @property
    def rows(self) -> list[AuditRow]:
        return [row(2, to=2, id=self.nasty, handle=self.nasty, text="SECRET TEXT", name="SECRET NAME", alias="SECRET ALIAS"), row(1)]

    async def sign_in(self, handle: str, password: str, client_address: str) -> str:
        if password != "correct horse":
            raise BadCredentials
        return {"opal": "ops-token", "ann": "user-token"}[handle]

    def allows(self, who: Identity) -> bool:
        return "ops" in who.roles

    async def in_turn(self, who: Identity, make: Callable[[T], U], items: Sequence[T]) -> list[U]:
        return [make(item) for item in items]

    async def topics(self) -> Sequence[str]:
        return ["user.message_sent", self.nasty]

    async def sources(self) -> Sequence[str]:
        return ["global", "h1"]

    async def person(self, who: str) -> Person:
        if who not in ("ann", "1"):
            raise UnknownUser
        return Person(1, self.nasty, "h1")

    async def span(self) -> tuple[float, float]:
        return NOW - 1_000, NOW

    def newest(self) -> str:
        return "41"

    async def events(self, who: Identity, wanted: AuditFilter, cursor: str | None, limit: int, *, what: str = "log") -> Page:
        if self.failure is not None:
            raise self.failure
        self.asked.append((what, (who.handle, wanted, cursor)))
        return Page(tuple(self.rows), "1.5:1" if cursor is None else None)

    async def tail(self, who: Identity, wanted: AuditFilter, after: str) -> AsyncGenerator[tuple[Sequence[AuditRow], bool], None]:
        self.asked.append(("tail", (who.handle, wanted, after)))
        queue: asyncio.Queue[Sequence[AuditRow]] = asyncio.Queue()
        self.tails.append(queue)
        try:
            while True:
                yield await queue.get(), False
        finally:
            self.ended_tails += 1

    async def moment(self, who: Identity, person: Person, at: float) -> tuple[StateAt, Sequence[Shown]]:
        self.asked.append(("moment", at))
        shown = Shown(2, self.nasty, "SECRET NAME", "SECRET ALIAS", False, "h2", "online", NOW, "SECRET NOTE", True)
        return StateAt(person, at, UserState("user-1"), MailboxState("mailbox-1"), False), [shown]

    async def trace(self, who: Identity, message: str) -> Sequence[Life]:
        self.asked.append(("trace", message))
        sent, queued = row(1, text="SECRET TEXT"), row(2, "mailbox.message_queued", text="SECRET TEXT")._replace(source="h2")
        return [Life(message, 1, 2, (Step("sent", sent, None), Step("queued", queued, 1.0)))] if message != "none" else []

    async def online(self, who: Identity, at: float) -> Sequence[Online]:
        self.asked.append(("online", at))
        return [Online(Person(2, self.nasty, "h2"), "away", NOW)]

    async def homes(self) -> Sequence[HomeSeen]:
        return [
            HomeSeen("h1", self.nasty, False, True, 12, {"ready": None, **FIGURES}, 4e9, False),
            HomeSeen("h2", "http://h2", False, True, 1, None, 4e9, True),
            HomeSeen("h3", "http://h3", True, False, 0, None, 0.0, False),
        ]

    async def revoke(self, who: Identity, home: str) -> None:
        self.asked.append(("revoke", home))

    async def own_health(self) -> dict[str, Any]:
        audit = {"audit_entries": 123, "audit_newest": NOW, "audit_behind_s": 0.25, "audit_unreadable": 0}
        return {
            "ready": None,
            "users": 2,
            "inbox": 0,
            "dead": None,
            "connected": True,
            "relay_lag": 0,
            "writer": 0,
            "position": 9,
            "projections": {},
            **audit,
        }

    async def dead_letters(self) -> Sequence[DeadLetterSummary]:
        if self.failure is not None:
            raise self.failure
        return [
            DeadLetterSummary("abc", "flash.home.h1", self.nasty, NOW, 12, "unreadable"),
            DeadLetterSummary("def", "", "", None, 1, self.nasty),
        ]

    async def requeue(self, who: Identity, ids: Sequence[str] | None) -> int:
        self.asked.append(("requeue", ids))
        return 1

    async def drop(self, who: Identity, ids: Sequence[str]) -> int:
        self.asked.append(("drop", ids))
        return 1
