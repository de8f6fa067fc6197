"""A failure detector: each server sends heartbeats and hears the others. Rule: a silent server's users are unknown, never offline."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgpack
import structlog

from broker.port import Broker
from runtime.background_task import BackgroundTask

MAX_SERVERS = 10_000  # a heartbeat is not signed, so a broken server could invent names; this bounds what is remembered

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """How often a server sends a heartbeat, and after which silence it counts as down."""

    beat_s: float = 1.0  # cheap: one small message per server and second
    down_after_s: float = 3.5  # three heartbeats missed, and half an interval of grace


@dataclass(slots=True)
class Peer:
    """A server that was heard. `run`: differs after each restart."""

    run: str
    beat_at: float
    up: bool = True


@dataclass(slots=True, eq=False)
class PeerMonitor:
    """Sends heartbeats and hears others. `on_up(server)`: the server is up or was restarted; `on_down(server)`: it fell silent."""

    broker: Broker
    server: str
    run: str
    clock: Callable[[], float]
    on_up: Callable[[str], None]
    on_down: Callable[[str], None]
    config: HeartbeatConfig
    _known: dict[str, Peer] = field(default_factory=dict, init=False)
    _task: BackgroundTask = field(init=False)

    def __post_init__(self) -> None:
        self._task = BackgroundTask(f"heartbeats-{self.server}")

    def alive(self) -> set[str]:
        """The servers that were heard lately, and this one."""
        return {name for name, peer in self._known.items() if peer.up} | {self.server}

    def is_up(self, server: str) -> bool:
        """Whether a server was heard lately. This server always was."""
        peer = self._known.get(server)
        return server == self.server or (peer is not None and peer.up)

    async def start(self) -> None:
        """Begin to send heartbeats and to listen."""
        await self.broker.listen_heartbeats(self._heard)
        self._task.start(self._beat())

    async def stop(self) -> None:
        """Send no more heartbeats."""
        await self._task.stop()

    async def _beat(self) -> None:
        body = msgpack.packb({"server": self.server, "run": self.run})
        while True:
            await self.broker.send_heartbeat(body)
            self.check()
            await asyncio.sleep(self.config.beat_s)

    def check(self) -> None:
        """Report the servers that fell silent."""
        oldest = self.clock() - self.config.down_after_s
        for name, peer in self._known.items():
            if peer.up and peer.beat_at < oldest:
                peer.up = False
                log.warning("peer.down", server=name)
                try:
                    self.on_down(name)
                except Exception:  # a listener may fail; the heartbeats must go on
                    log.exception("peer.listener_failed")

    def _heard(self, body: bytes, publisher: str | None) -> None:
        try:
            heartbeat = msgpack.unpackb(body)
            name, run = heartbeat["server"], heartbeat["run"]
            if not (isinstance(name, str) and isinstance(run, str)):
                raise TypeError
        except (ValueError, TypeError, KeyError, msgpack.UnpackException):
            log.warning("peer.beat_unreadable")
            return
        if name == self.server:
            return
        if not self.broker.speaks_for(publisher, name):
            log.warning("peer.beat_not_believed", server=name, publisher=publisher)
            return
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= MAX_SERVERS:
                return
            self._known[name] = Peer(run, self.clock())
            self.on_up(name)
            return
        known.beat_at = self.clock()
        if not known.up or known.run != run:
            known.up, known.run = True, run
            log.info("peer.up", server=name)
            self.on_up(name)
