"""What the ops console may ask of the Global Server. Rule: a read of somebody's history is on disk before anything of it is shown.

Everything about users comes from the audit, and a home's figures come from that home.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import structlog

from broker import envelope, mail
from broker.dead_letter import DeadLetter
from broker.topology import DEAD, inbox
from domain.errors import Malformed, Unavailable
from domain.registry.commands import NoteDeadLetters, NoteRead
from domain.registry.registered_home import GLOBAL
from projections.audit.rows import AuditFilter, AuditRow, Life, Online, Page, Person, Shown, StateAt
from projections.directory.directory import NOT_ENROLLED
from runtime.scheduler import Steps
from servers.audit.audit import Audit
from servers.global_server.heavy_use import HeavyUse
from servers.global_server.service import GlobalServer
from servers.messaging.questions import AskHealth, ask, home_key
from servers.security.identity import OPS, Identity

UID_DIGITS = 19  # a number of so many digits may be larger than a database can hold

log = structlog.get_logger()


ROWS_A_STEP = 25  # of a table: some 0.5 ms
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class ConsoleConfig:
    """How the console waits and how much it shows."""

    health_timeout_s: float = 2.0  # a person waits for the slowest home
    tail_rows: int = 100  # at one look of a live tail; more rows are left out, because nobody reads so fast
    tail_pause_s: float = 0.25  # between two looks: in a busy installation each tail costs four questions a second
    signed_in_s: float = 12 * 3_600.0  # a working day
    blank_s: float = 15.0  # after so much silence a tail shows that it is alive; common proxies cut at 60 s


@dataclass(frozen=True, slots=True)
class HomeSeen:
    """A home as the Global Server knows it. `up`: its heartbeat was heard lately; `residents`: number of users who live there; `health`:
    `HomeHealth` as a map, None without an answer; `certified_until`: the end of its certificate in seconds since 1970, 0 while it is not
    enrolled; `revoked`: whether nobody believes it."""

    name: str
    url: str
    retired: bool
    up: bool
    residents: int
    health: dict[str, Any] | None
    certified_until: float
    revoked: bool


@dataclass(frozen=True, slots=True)
class DeadLetterSummary:
    """A dead letter without its text. `contents`: the server that sent it and the kinds of its events, as far as they can be read."""

    id: str
    queue: str
    reason: str
    at: float | None
    size_bytes: int
    contents: str


@dataclass(slots=True, eq=False)
class OpsConsole:
    """One Global Server's console."""

    server: GlobalServer
    audit: Audit
    config: ConsoleConfig = field(default_factory=ConsoleConfig)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @property
    def heavy(self) -> HeavyUse:
        """Who is heavy, and what is done about it."""
        return self.server.heavy

    def stop(self) -> None:
        """End every live tail."""
        self._stopping.set()

    async def sign_in(self, handle: str, password: str, client_address: str) -> str:
        """A token. Raises `BadCredentials`, `TooManyRequests`, `Unavailable`."""
        return await self.server.console_token(handle, password, client_address, self.config.signed_in_s)

    def allows(self, who: Identity) -> bool:
        """Whether this user may use the console. The settings must say so too, because a token may be as old as a working day."""
        return OPS in who.roles and who.handle in self.server.config.ops

    async def in_turn(self, who: Identity, make: Callable[[T], U], items: Sequence[T]) -> list[U]:
        """What `make` makes of each item, such as the rows of a long table: a few at a time, in turn with everybody else's work."""

        def steps() -> Steps[list[U]]:
            made: list[U] = []
            for start in range(0, len(items), ROWS_A_STEP):
                if start:
                    yield None
                made += map(make, items[start : start + ROWS_A_STEP])
            return made

        return await self.server.jobs.run(who.uid, "console", steps())

    # -- the history

    async def topics(self) -> Sequence[str]:
        """Every topic that occurs."""
        return await self.audit.topics()

    async def sources(self) -> Sequence[str]:
        """Every server of which there is an event."""
        return await self.audit.sources()

    async def person(self, who: str) -> Person:
        """The user with this handle or uid. Raises `UnknownUser`."""
        if who.isascii() and who.isdecimal() and len(who) < UID_DIGITS:
            return await self.audit.person(int(who))
        return await self.audit.by_handle(who.lower())

    async def span(self) -> tuple[float, float]:
        """The time of the first event, and now."""
        oldest = (await self.audit.log(AuditFilter(), limit=1, order="oldest")).rows
        now = self.server.clock()
        return (oldest[0].time if oldest else now), now

    def newest(self) -> str:
        """The cursor for a live tail that shows only events from now on."""
        return self.audit.reached.cursor or "0"

    async def events(self, who: Identity, wanted: AuditFilter, cursor: str | None, limit: int, *, what: str = "log") -> Page:
        """A page of events, newest first. Raises `Invalid` for a malformed cursor."""
        await self._note(who, what, _described(wanted))
        return await self.audit.log(wanted, cursor=cursor, limit=limit)

    async def tail(self, who: Identity, wanted: AuditFilter, after: str) -> AsyncGenerator[tuple[Sequence[AuditRow], bool], None]:
        """New events after `after`: rows, and whether some were left out because too many came at once. No rows are a blank.
        Ends with the console, or with the token."""
        await self._note(who, "tail", _described(wanted))
        cursor = after
        while not self._stopping.is_set() and self.server.clock() < who.expires_at:
            entries, end = self.audit.reached.entries, self.newest()
            page = await self.audit.log(wanted, cursor=cursor, limit=self.config.tail_rows, order="arrival")
            if page.rows:
                yield page.rows, page.next is not None
            cursor = max(end, str(page.rows[-1].id) if page.rows else end, key=int)
            if await self._grown(entries):
                await asyncio.sleep(self.config.tail_pause_s)
            else:
                yield (), False

    async def _grown(self, entries: int) -> bool:
        """Wait for more than so many events, at most `blank_s`, or until the console stops."""
        waiting = [asyncio.create_task(self.audit.grown(entries, self.config.blank_s)), asyncio.create_task(self._stopping.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        return self.audit.reached.entries > entries

    async def moment(self, who: Identity, person: Person, at: float) -> tuple[StateAt, Sequence[Shown]]:
        """A user's state at a moment, and what their contact window showed. Raises `UnknownUser`."""
        await self._note(who, "timeline", f"user {person.uid} at {at:.3f}")
        return await self.audit.state_at(person.uid, at), await self.audit.window_at(person.uid, at)

    async def trace(self, who: Identity, message: str) -> Sequence[Life]:
        """The popups with this id."""
        await self._note(who, "trace", f"message {message}")
        return await self.audit.trace(message)

    async def online(self, who: Identity, at: float) -> Sequence[Online]:
        """Who was online."""
        await self._note(who, "online", f"at {at:.3f}")
        return await self.audit.online_at(at)

    async def _note(self, who: Identity, what: str, whom: str) -> None:
        command = NoteRead(uid=who.uid, handle=who.handle, what=what, whom=whom, cause=self.server.new_id())
        await self.server.writer.submit((command,), lane=who.uid)

    # -- the servers

    async def homes(self) -> Sequence[HomeSeen]:
        """Every announced home with its health."""
        directory, is_up = self.server.directory, self.server.lifecycle.peers.is_up
        listed = sorted(directory.homes.values(), key=lambda home: (len(home.name), home.name))
        health = await asyncio.gather(*(self._health(home.name) for home in listed))
        return [
            HomeSeen(
                home.name,
                home.url,
                home.retired,
                is_up(home.name),
                directory.residents(home.name),
                told,
                directory.enrolments.get(home.name, NOT_ENROLLED).expires,
                directory.is_revoked(home.name),
            )
            for home, told in zip(listed, health, strict=True)
        ]

    async def revoke(self, who: Identity, home: str) -> None:
        """Let nobody believe a home any more; the event names who asked for it. Raises `Unavailable`."""
        await self.server.lifecycle.registrar.revoke(home, by=who.handle)

    async def _health(self, home: str) -> dict[str, Any] | None:
        try:
            # A home of another version may tell other figures; the page shows those that it knows.
            return await ask(self.server.lifecycle.requests, home_key(home), AskHealth(), dict[str, Any], self.config.health_timeout_s)
        except Unavailable:
            return None
        except msgspec.MsgspecError as error:
            log.error("console.health_unreadable", home=home, error=type(error).__name__)
            return None

    async def own_health(self) -> dict[str, Any]:
        """The Global Server's own figures, in the same words, and how far the audit has come. Depths are None while the broker is away."""
        life, reached = self.server.lifecycle, self.audit.reached
        newest = max(life.directory.position, life.outbox.position)
        depths: dict[str, int] = {}
        with contextlib.suppress(Unavailable):
            depths = await life.broker.depths()
        return {
            "inbox": depths.get(inbox(GLOBAL).name),
            "dead": depths.get(DEAD),
            "ready": self.server.ready(),
            "users": len(life.directory.users),
            "position": newest,
            "writer": life.writer.depth,
            "relay_lag": life.outbox.lag,
            "connected": life.broker.connected,
            "projections": life.projector.lag(newest),
            "audit_entries": reached.entries,
            "audit_newest": reached.newest,
            "audit_behind_s": reached.behind_s,
            "audit_unreadable": reached.unreadable,
        }

    async def dead_letters(self) -> Sequence[DeadLetterSummary]:
        """The dead letters, oldest first. Raises `Unavailable`."""
        return [_summary(letter) for letter in await self.server.lifecycle.broker.dead_letters()]

    async def requeue(self, who: Identity, ids: Sequence[str] | None) -> int:
        """Put dead letters back into their queues (None: all) and return their number. Raises `Unavailable`."""
        await self._note_letters(who, "requeue", ids or ["all"])
        return await self.server.lifecycle.broker.requeue_dead(ids)

    async def drop(self, who: Identity, ids: Sequence[str]) -> int:
        """Throw dead letters away and return their number. Raises `Unavailable`."""
        await self._note_letters(who, "drop", ids)
        return await self.server.lifecycle.broker.drop_dead(ids)

    async def _note_letters(self, who: Identity, action: str, ids: Sequence[str]) -> None:
        command = NoteDeadLetters(uid=who.uid, handle=who.handle, action=action, letters=" ".join(ids), cause=self.server.new_id())
        await self.server.writer.submit((command,), lane=who.uid)


def _described(wanted: AuditFilter) -> str:
    """A filter in words, for those who audit the auditors."""
    given = {
        "user": wanted.user,
        "server": wanted.source,
        "topic": " ".join(wanted.topics),
        "message": wanted.message,
        "since": wanted.since,
        "until": wanted.until,
    }
    return ", ".join(f"{name} {value}" for name, value in given.items() if value)


def _summary(letter: DeadLetter) -> DeadLetterSummary:
    try:
        if letter.body.startswith(mail.BEGINNINGS):
            head, *_ = mail.decode(letter.body)
            about = ", ".join(head.topics) or "nothing new"
            contents = f"{head.source} to {head.destination}, {head.previous + 1} to {head.last}: {about}"
            return DeadLetterSummary(letter.id, letter.queue, letter.reason, letter.at, len(letter.body), contents)
        told = envelope.decode(letter.body)
        topics = Counter(record.topic for record in told.events)
        contents = f"{told.source}: " + ", ".join(f"{count} × {topic}" for topic, count in topics.items())
    except Malformed:
        contents = "unreadable"
    return DeadLetterSummary(letter.id, letter.queue, letter.reason, letter.at, len(letter.body), contents)
