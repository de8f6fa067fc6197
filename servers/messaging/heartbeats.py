"""Which other servers are alive, from their beats. Rule: silence means unknown, never offline."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgpack
import structlog

from broker.port import Broker
from runtime.background_task import BackgroundTask

MAX_SERVERS = 10_000  # a beat is not signed: bounds what a broken neighbour could make us remember

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """How often a server beats, and after which silence it counts as down."""

    beat_s: float = 1.0  # cheap: one small message per server and second
    down_after_s: float = 3.5  # three beats missed, and half a beat of grace


@dataclass(slots=True)
class Neighbour:
    """A server that was heard of. `run`: differs after each restart."""

    run: str
    beat_at: float
    up: bool = True


class PeerMonitor:
    """Beats out, beats in. `on_up(server)`: it came up or was restarted; `on_down(server)`: it fell silent."""

    def __init__(
        self,
        broker: Broker,
        server: str,
        run: str,
        clock: Callable[[], float],
        on_up: Callable[[str], None],
        on_down: Callable[[str], None],
        config: HeartbeatConfig,
    ) -> None:
        self._broker = broker
        self._server = server
        self._run = run
        self._clock = clock
        self._on_up = on_up
        self._on_down = on_down
        self._config = config
        self._known: dict[str, Neighbour] = {}
        self._task = BackgroundTask(f"heartbeats-{server}")

    def alive(self) -> set[str]:
        """The servers heard of lately, ourselves included."""
        return {name for name, neighbour in self._known.items() if neighbour.up} | {self._server}

    def is_up(self, server: str) -> bool:
        """Whether a server was heard of lately."""
        neighbour = self._known.get(server)
        return server == self._server or (neighbour is not None and neighbour.up)

    async def start(self) -> None:
        """Begin to beat and to listen."""
        await self._broker.listen_beats(self._heard)
        self._task.start(self._beat())

    async def stop(self) -> None:
        """Fall silent."""
        await self._task.stop()

    async def _beat(self) -> None:
        body = msgpack.packb({"server": self._server, "run": self._run})
        while True:
            await self._broker.beat(body)
            self.check()
            await asyncio.sleep(self._config.beat_s)

    def check(self) -> None:
        """Notice who fell silent."""
        oldest = self._clock() - self._config.down_after_s
        for name, neighbour in self._known.items():
            if neighbour.up and neighbour.beat_at < oldest:
                neighbour.up = False
                log.warning("neighbour.down", server=name)
                try:
                    self._on_down(name)
                except Exception:  # who listens may fail; who goes on beating must not
                    log.exception("neighbour.listener_failed")

    def _heard(self, body: bytes) -> None:
        try:
            beat = msgpack.unpackb(body)
            name, run = beat["server"], beat["run"]
            if not (isinstance(name, str) and isinstance(run, str)):
                raise TypeError
        except (ValueError, TypeError, KeyError, msgpack.UnpackException):
            log.warning("neighbour.beat_unreadable")
            return
        if name == self._server:
            return
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= MAX_SERVERS:
                return
            self._known[name] = Neighbour(run, self._clock())
            self._on_up(name)
            return
        known.beat_at = self._clock()
        if not known.up or known.run != run:
            known.up, known.run = True, run
            log.info("neighbour.up", server=name)
            self._on_up(name)
