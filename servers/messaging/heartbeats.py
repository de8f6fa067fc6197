"""A failure detector: each server sends heartbeats and hears the others. Rule: a silent server's users are unknown, never offline."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

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


class PeerMonitor:
    """Sends heartbeats and hears others. `on_up(server)`: the server is up or was restarted; `on_down(server)`: it fell silent."""

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
        self._known: dict[str, Peer] = {}
        self._task = BackgroundTask(f"heartbeats-{server}")

    def alive(self) -> set[str]:
        """The servers that were heard lately, and this one."""
        return {name for name, peer in self._known.items() if peer.up} | {self._server}

    def is_up(self, server: str) -> bool:
        """Whether a server was heard lately. This server always was."""
        peer = self._known.get(server)
        return server == self._server or (peer is not None and peer.up)

    async def start(self) -> None:
        """Begin to send heartbeats and to listen."""
        await self._broker.listen_heartbeats(self._heard)
        self._task.start(self._beat())

    async def stop(self) -> None:
        """Send no more heartbeats."""
        await self._task.stop()

    async def _beat(self) -> None:
        body = msgpack.packb({"server": self._server, "run": self._run})
        while True:
            await self._broker.send_heartbeat(body)
            self.check()
            await asyncio.sleep(self._config.beat_s)

    def check(self) -> None:
        """Report the servers that fell silent."""
        oldest = self._clock() - self._config.down_after_s
        for name, peer in self._known.items():
            if peer.up and peer.beat_at < oldest:
                peer.up = False
                log.warning("peer.down", server=name)
                try:
                    self._on_down(name)
                except Exception:  # a listener may fail; the heartbeats must go on
                    log.exception("peer.listener_failed")

    def _heard(self, body: bytes) -> None:
        try:
            heartbeat = msgpack.unpackb(body)
            name, run = heartbeat["server"], heartbeat["run"]
            if not (isinstance(name, str) and isinstance(run, str)):
                raise TypeError
        except (ValueError, TypeError, KeyError, msgpack.UnpackException):
            log.warning("peer.beat_unreadable")
            return
        if name == self._server:
            return
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= MAX_SERVERS:
                return
            self._known[name] = Peer(run, self._clock())
            self._on_up(name)
            return
        known.beat_at = self._clock()
        if not known.up or known.run != run:
            known.up, known.run = True, run
            log.info("peer.up", server=name)
            self._on_up(name)
