"""The live tail: events as server-sent events on a bare transport. Rule: nothing is kept for a client that does not read.

Each tail is a cursor into the audit store. While the transport is full, the tail waits; then it looks again from its cursor. Events
beyond what one look returns are left out, and the page says so.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import replace

import structlog
from msgspec import Struct

from domain.errors import Unavailable
from edge.console.contract import Console
from edge.console.events import event_row, rows_held, wanted_of
from edge.console.forms import Events
from edge.console.markup import text
from edge.http.messages import Answer, Call, Counted, encode_json
from edge.http.problems import problem, problem_for
from edge.transports.framing import EVENT_STREAM
from projections.audit.rows import AuditRow
from runtime.background_task import BackgroundTasks
from runtime.bounds import Bound, Holding
from servers.sessions.parts import BLANK, Part

MAX_TAILS = 20  # each costs four small questions a second when much happens
HIGH_WATER_BYTES = 65_536  # about one look of a hundred rows
TAILS = Bound(
    name="console_tails",
    holds="readers of the console's live events",
    filled_by="ops",
    past="whoever comes reads `503`",
    within=("Tails._open",),
    entries=MAX_TAILS,
    each=200_000,  # the transport's mark, one look of a hundred rows, and the same as HTML
)
PLACE = re.compile(r"[0-9]{1,18}", re.ASCII)  # an event's number in the audit store
MAX_IGNORED_BYTES = 4_096  # a browser sends nothing on such a connection

log = structlog.get_logger(__name__)


class Rows(Struct):
    """What the page's script gets: rows of the table as HTML, and whether some were left out."""

    rows: str
    cut: bool


class Tails:
    """The open tails of one server, at most `max_tails`."""

    def __init__(self, console: Console, max_tails: int = MAX_TAILS) -> None:
        self._console = console
        self._max_tails = max_tails
        self._open: set[LiveTail] = set()
        self._refused = 0

    def holdings(self) -> Iterator[Holding]:
        """The open tails, and the rows that they share."""
        yield replace(TAILS, entries=self._max_tails).holding(len(self._open), refused=self._refused)
        yield rows_held()

    async def show(self, call: Call) -> Answer:
        """Events as they come, after the event that the browser names when it comes back.

        The connection is handed over, so the answer that this returns is only counted.
        """
        query: Events = call.query
        if len(self._open) >= self._max_tails:
            self._refused += 1
            raise Unavailable("Too many people are watching; try again later.")
        wanted = await wanted_of(self._console, query)
        after = next((place for place in (call.headers.get("Last-Event-ID", ""), query.after) if PLACE.fullmatch(place)), None)
        tail = LiveTail(self._console.tail(call.identity, wanted, after or self._console.newest()), self._open.discard)
        if not call.connection.detach_to(tail):
            return problem(Unavailable("The client has gone."))
        self._open.add(tail)
        return Answer(200)


class LiveTail(asyncio.Protocol):
    """One tail: the protocol of its transport, and the task that writes."""

    def __init__(self, looks: AsyncGenerator[tuple[Sequence[AuditRow], bool], None], forget: Callable[["LiveTail"], None]) -> None:
        self._looks = looks
        self._forget = forget
        self._transport: asyncio.Transport | None = None
        self._seat: Counted | None = None
        self._writing = BackgroundTasks("console-tail")
        self._writable = asyncio.Event()
        self._writable.set()
        self._ignored_bytes = 0

    def adopt(self, transport: asyncio.Transport, seat: Counted) -> None:
        """Become the protocol of a transport whose request has been read, and begin."""
        self._transport, self._seat = transport, seat
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        transport.set_protocol(self)
        transport.write(EVENT_STREAM.head)
        self._writing.start(self._run(transport))

    async def _run(self, transport: asyncio.Transport) -> None:
        try:
            async with contextlib.aclosing(self._looks) as looks:
                async for rows, cut in looks:
                    await self._writable.wait()
                    if rows:
                        body = encode_json(Rows(str(text(*(event_row(row) for row in reversed(rows)))), cut))
                        transport.write(EVENT_STREAM.frame((Part("rows", body, rows[-1].id),)))
                    else:
                        transport.write(EVENT_STREAM.frame((BLANK,)))
        except Exception as error:
            answer, code = problem_for(error, "GET /ops/tail")
            log.warning("console.tail_ended", code=code, status=answer.status)
        finally:
            transport.close()  # the browser comes back by itself; without a valid cookie it is told to sign in

    def data_received(self, data: bytes) -> None:
        """Ignore a few bytes; a client that sends more is no browser."""
        self._ignored_bytes += len(data)
        if self._ignored_bytes > MAX_IGNORED_BYTES and self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        """The client does not read, so the tail waits."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._writing.cancel()
        if self._seat is not None:
            self._seat.leave()
        self._forget(self)
