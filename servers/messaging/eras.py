"""The eras of the streams: what a stream is from its making to its loss. Rule: the Global Server alone begins an era, by a message in the
stream itself; the others hear of it with its heartbeats, and go on in the era that they know while it is away.

A stream that was deleted, or whose broker came back empty, begins again at offset 0 and looks like the old one. The Global Server looks at
the first message of each stream now and then: another message at the same offset, or one at a lower offset, is another stream. A
beginning that retention cut off only moves upwards. Once a minute it looks whether the newest message of the last minute is still there,
too: a broker that came back with an older disk has another one at that place, or none; then an era begins in the middle of the stream.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from msgspec import MsgspecError, Struct, msgpack
from msgspec.structs import replace

from broker import topology
from broker.port import Broker, Outgoing, StreamItem
from domain.errors import Malformed, Unavailable
from domain.registry.registered_home import GLOBAL
from runtime.background_task import BackgroundTask
from servers.messaging.presence_events import era_began, era_that_began
from servers.trust.publications import HistoryJudge, HistorySigner
from servers.trust.server_identity import NotBelieved
from servers.trust.trust import Trust

LOOK_S = 10.0  # a look costs 5 to 11 ms, with RabbitMQ's share; so late is a new stream noticed while nobody's connection was lost
NOTE_S = 60.0  # whoever puts an older disk back puts back one that is older than this; two reads of a busy stream's end, 10 to 20 ms
RECORD = "era "  # and a stream: what the Global Server knows of it
STREAMS = (topology.HISTORY, topology.PRESENCE_LOG)

log = structlog.get_logger()


class Era(NamedTuple):
    """An era of a stream. `number` rises; `past`: the stream held messages when eras came into the world, and they count."""

    number: int
    past: bool = False


class Eras:
    """What a server knows of the streams' eras. `listeners` are called with each stream and era that is new."""

    def __init__(self) -> None:
        self.known: dict[str, Era] = {}
        self.listeners: list[Callable[[str, Era], None]] = []

    def learn(self, stream: str, era: Era) -> None:
        """The Global Server says so."""
        if self.known.get(stream) != era:
            self.known[stream] = era
            for listener in self.listeners:
                listener(stream, era)

    def told(self) -> tuple[tuple[str, int, bool], ...]:
        """As a heartbeat carries it."""
        return tuple((stream, *era) for stream, era in self.known.items())

    def hear(self, told: tuple[tuple[str, int, bool], ...]) -> None:
        """What a heartbeat of the Global Server carried."""
        for stream, number, past in told:
            if stream in STREAMS and number > 0:
                self.learn(stream, Era(number, past))


class _Known(Struct, frozen=True, array_like=True):
    """What the Global Server remembers of a stream: its era, its first message at the last look, and one near its end (`at`, `mark`)."""

    number: int
    past: bool
    offset: int
    digest: bytes
    former: int = 0
    at: int = -1
    mark: bytes = b""


@dataclass(slots=True, eq=False)
class EraKeeper:
    """The Global Server's watch over the streams."""

    broker: Broker
    trust: Trust
    eras: Eras
    clock: Callable[[], float] = time.time
    look_s: float = LOOK_S
    note_s: float = NOTE_S
    monotonic: Callable[[], float] = time.monotonic
    _noted: dict[str, float] = field(default_factory=dict, init=False)  # when a stream's end was looked at
    task: BackgroundTask = field(default_factory=lambda: BackgroundTask("eras"), init=False)

    def start(self) -> None:
        """Begin to look."""
        self.task.start(self._run())

    async def stop(self) -> None:
        """Look no more."""
        await self.task.stop()

    async def _run(self) -> None:
        while True:
            for stream in STREAMS:
                try:
                    await self.look(stream)
                except Unavailable as error:
                    log.warning("eras.look_failed", stream=stream, detail=error.detail)
                except Exception:
                    log.exception("eras.failed", stream=stream)
            await asyncio.sleep(self.look_s)

    async def look(self, stream: str) -> None:
        """Learn in which era a stream is, and begin one where it is in none. Raises `Unavailable`."""
        stored = await self._stored(stream)
        first = await self.broker.first_of(stream)
        known = None if stored is None else _read(stored)
        if first is None:
            await self._begin(stream, known)
            first = await self.broker.first_of(stream)
            if first is None:
                raise Unavailable(f"The beginning of {stream} cannot be read.")
        number, digest = self._marked(stream, first), _digest(first)
        due = self.monotonic() >= self._noted.get(stream, -math.inf) + self.note_s
        at, mark = (-1, b"") if known is None else (known.at, known.mark)
        if known is not None and due and not await self._holds(stream, known, first):
            log.error("eras.stream_set_back", stream=stream, era=known.number, offset=known.at)
            number, at, mark = await self._begin(stream, known), -1, b""
            now = _Known(number, False, first.offset, digest, known.number)
        elif number and (known is None or number > known.number):
            now = _Known(number, False, first.offset, digest, 0 if known is None else known.number)
        elif known is not None and (
            number == known.number or first.offset > known.offset or (first.offset, digest) == (known.offset, known.digest)
        ):
            now = _Known(known.number, known.past, first.offset, digest, known.former)
        else:
            number = await self._begin(stream, known)
            now = _Known(number, known is None and _is_of_before(stream, first), first.offset, digest, 0 if known is None else known.number)
        if known is None or now.number != known.number or due:
            last = await self.broker.last_of(stream)
            at, mark = (-1, b"") if last is None else (last.offset, _digest(last))
            self._noted[stream] = self.monotonic()
        now = replace(now, at=at, mark=mark)
        if now != known:
            raw = msgpack.encode(now)
            if not await asyncio.to_thread(self.trust.records.change, RECORD + stream, stored, raw):
                await self.look(stream)  # another Global Server was first, and people who register wait for the era
                return
        self.eras.learn(stream, Era(now.number, now.past))

    async def _holds(self, stream: str, known: _Known, first: StreamItem) -> bool:
        """Whether the message near the end that was noted is still at its place. Raises `Unavailable`."""
        if known.at < 0:
            return True
        if known.at < first.offset:  # retention has cut it off
            last = await self.broker.last_of(stream)
            return last is not None and last.offset >= known.at
        async for item in self.broker.read_stream(stream, known.at, follow=False):
            return (item.offset, _digest(item)) == (known.at, known.mark)
        return False

    async def _stored(self, stream: str) -> bytes | None:
        return await asyncio.to_thread(self.trust.records.read, RECORD + stream)

    async def _begin(self, stream: str, known: _Known | None) -> int:
        """Publish the beginning of an era. Returns its number."""
        former = 0 if known is None else known.number
        number = max(former + 1, int(self.clock() * 1_000_000))
        if stream == topology.HISTORY:
            body = HistorySigner(self.trust, self.clock).publication(number, (0, 0, 0), 0, 0, ())
            marker = Outgoing(topology.EVENTS, f"{GLOBAL}.0", body, mandatory=True)
        else:
            marker = era_began(self.trust.identity, number, former, self.clock())
        await self.broker.publish([marker])
        (log.warning if former else log.info)("eras.began", stream=stream, era=number, former=former)
        return number

    def _marked(self, stream: str, first: StreamItem) -> int:
        """The era that a message of ours begins; 0 for any other message."""
        key = self.trust.identity.public
        if stream == topology.PRESENCE_LOG:
            began = era_that_began(first.body, key) if self.broker.speaks_for(first.publisher, GLOBAL) else None
            return 0 if began is None else began.era
        try:
            told = HistoryJudge(key, self.broker.speaks_for).read(first)
        except (Malformed, NotBelieved):
            return 0
        return told.head.era if told.head is not None and told.source == GLOBAL and not told.events else 0


def _digest(item: StreamItem) -> bytes:
    return hashlib.sha256(item.body).digest()


def on_record(stored: Mapping[str, bytes]) -> Iterator[tuple[str, int, int]]:
    """Each stream, its era and the one before, 0 without any, as a Global Server's records tell it."""
    for stream in STREAMS:
        known = _read(stored.get(RECORD + stream, b""))
        if known is not None:
            yield stream, known.number, known.former


def _read(stored: bytes) -> _Known | None:
    try:
        return msgpack.decode(stored, type=_Known)
    except MsgspecError:
        return None


def _is_of_before(stream: str, first: StreamItem) -> bool:
    """Whether a message was published before there were eras."""
    if stream == topology.PRESENCE_LOG:
        return True
    return b"signature" not in first.body[-80:]
