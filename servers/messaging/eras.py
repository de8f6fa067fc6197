"""The eras of the streams: what a stream is from its making to its loss. Rule: the Global Server alone begins an era, by a message in the
stream itself; the others hear of it with its heartbeats, and go on in the era that they know while it is away.

A stream that was deleted, or whose broker came back empty, begins again at offset 0 and looks like the old one. The Global Server looks at
the first message of each stream now and then: another message at the same offset, or one at a lower offset, is another stream. A
beginning that retention cut off only moves upwards.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from msgspec import MsgspecError, Struct, msgpack

from broker import topology
from broker.port import Broker, Outgoing, StreamItem
from domain.errors import Malformed, Unavailable
from domain.registry.registered_home import GLOBAL
from runtime.background_task import BackgroundTask
from servers.messaging.presence_events import era_began, era_that_began
from servers.trust.publications import HistoryJudge, HistorySigner
from servers.trust.server_identity import NotBelieved
from servers.trust.trust import Trust

LOOK_S = 10.0  # a look costs 12 ms, with RabbitMQ's share; so late is a new stream noticed while nobody's connection was lost
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
    """What the Global Server remembers of a stream: its era, and its first message at the last look."""

    number: int
    past: bool
    offset: int
    digest: bytes
    former: int = 0


@dataclass(slots=True, eq=False)
class EraKeeper:
    """The Global Server's watch over the streams."""

    broker: Broker
    trust: Trust
    eras: Eras
    clock: Callable[[], float] = time.time
    look_s: float = LOOK_S
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
        number = self._marked(stream, first)
        digest = hashlib.sha256(first.body).digest()
        if number:
            now = _Known(
                number, False, first.offset, digest, 0 if known is None else known.former if known.number == number else known.number
            )
        elif known is not None and (first.offset > known.offset or (first.offset, digest) == (known.offset, known.digest)):
            now = _Known(known.number, known.past, first.offset, digest, known.former)
        else:
            number = await self._begin(stream, known)
            now = _Known(number, known is None and _is_of_before(stream, first), first.offset, digest, 0 if known is None else known.number)
        if now != known:
            raw = msgpack.encode(now)
            if not await asyncio.to_thread(self.trust.records.change, RECORD + stream, stored, raw):
                return  # another Global Server was first; the next look tells
        self.eras.learn(stream, Era(now.number, now.past))

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
