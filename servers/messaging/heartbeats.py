"""A failure detector: each server sends heartbeats and hears the others. Rule: a silent server's users are unknown, never offline; a
server is heard by what it signed itself, and by nothing that it said before.

Each run of a server counts its heartbeats, and the count alone says which one is newer: a clock may be put back. The time decides only
whether a run that was never heard is one of now, because it may have been recorded long ago.
Cost: a signature in each second, and the check of one, some 150 µs, for each other server in each second.
"""

import asyncio
import contextlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from msgspec import Struct

from broker.port import Broker
from domain.registry.registered_home import GLOBAL
from runtime.background_task import BackgroundTask
from runtime.per_minute import LINES_A_MINUTE, MINUTE_S, PerMinute
from servers.messaging.eras import Eras
from servers.trust.server_identity import NotBelieved, read_signed, read_unproven
from servers.trust.trust import Trust

TWIN_BEATS = 3  # so often another process is heard under our name before it is believed to be at work
PURPOSE = "heartbeat"
GOOD_FOR_S = 60.0  # clocks differ by 30 s at most; an older heartbeat of an unknown run was recorded and is played again
MOST_BYTES = 4_096  # of a heartbeat: ours have some 200
MOST_RUNS = 100  # of each server, whose last numbers are remembered: it would have to start so often before one of them counts as unknown

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """How often a server sends a heartbeat, and after which silence it counts as down."""

    beat_s: float = 1.0  # cheap: one small message per server and second
    down_after_s: float = 3.5  # three heartbeats missed, and half an interval of grace
    checked_per_beat: int = 10  # of one server in a minute, for each heartbeat that it should send: a home and its standby send two


class Beat(Struct, frozen=True, array_like=True):
    """A heartbeat. `run` differs after each restart; `at` is the sender's time; `number` counts in the run; `eras`: of the
    streams, as the Global Server tells them."""

    server: str
    run: str
    at: float
    number: int
    eras: tuple[tuple[str, int, bool], ...] = ()


@dataclass(slots=True)
class Peer:
    """A server that was heard. `run`: the newest; `beat_at`: when it was heard last; `numbers`: the last one of each of its runs;
    `told_at`: when it was last told that it is up, and in which run, `told`."""

    run: str
    beat_at: float
    numbers: dict[str, int]
    told: str
    told_at: float
    up: bool = True

    def count(self, run: str, number: int) -> None:
        """This heartbeat was heard. The run that fell silent longest ago is the first to be forgotten."""
        self.numbers.pop(run, None)
        self.numbers[run] = number
        if len(self.numbers) > MOST_RUNS:
            del self.numbers[next(iter(self.numbers))]


@dataclass(slots=True, eq=False)
class PeerMonitor:
    """Sends heartbeats and hears others. `on_up(server)`: the server is up or was restarted, told once in `down_after_s` at most;
    `on_down(server)`: it fell silent; `want_card(server)`: it is heard, and its card is not known; `on_twin()`: another process works
    under our name, and we must give way."""

    broker: Broker
    trust: Trust
    run: str
    clock: Callable[[], float]
    on_up: Callable[[str], None]
    on_down: Callable[[str], None]
    want_card: Callable[[str], None]
    config: HeartbeatConfig
    on_twin: Callable[[], None] = lambda: None
    refused: int = field(default=0, init=False)  # heartbeats that were not believed
    lines: PerMinute = field(default_factory=lambda: PerMinute("refused heartbeats", LINES_A_MINUTE), init=False)
    eras: Eras = field(default_factory=Eras)  # of the streams, which the heartbeats of the Global Server tell
    _twins: tuple[str, int] = field(default=("", 0), init=False)  # another process under our name, and how often it was heard
    left_out: int = field(default=0, init=False)  # heartbeats that were not looked at, because their server sent too many
    _checked: PerMinute = field(init=False)
    _known: dict[str, Peer] = field(default_factory=dict, init=False)
    _task: BackgroundTask = field(init=False)
    _now: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stopped: bool = field(default=False, init=False)  # a broker goes on to hand over what is heard

    def __post_init__(self) -> None:
        self._task = BackgroundTask(f"heartbeats-{self.server}")
        most = math.ceil(self.config.checked_per_beat * MINUTE_S / self.config.beat_s)
        self._checked = PerMinute("heartbeats", most, self.clock)

    @property
    def server(self) -> str:
        """This server's name."""
        return self.trust.name

    def alive(self) -> set[str]:
        """The servers that were heard lately, and this one."""
        return {name for name, peer in self._known.items() if peer.up} | {self.server}

    def is_up(self, server: str) -> bool:
        """Whether a server was heard lately. This server always was."""
        peer = self._known.get(server)
        return server == self.server or (peer is not None and peer.up)

    async def start(self) -> None:
        """Begin to send heartbeats and to listen."""
        self._stopped = False
        await self.broker.listen_heartbeats(self._heard)
        self._task.start(self._beat())

    async def stop(self) -> None:
        """Send no more heartbeats, and hear none."""
        self._stopped = True
        await self._task.stop()

    def beat_now(self) -> None:
        """Send a heartbeat before it is due, because somebody believes our heartbeats from now on."""
        self._now.set()

    async def _beat(self) -> None:
        for number in itertools.count():
            beat = Beat(self.server, self.run, self.trust.clock(), number, self.eras.told() if self.server == GLOBAL else ())
            await self.broker.send_heartbeat(self.trust.identity.signed(PURPOSE, beat))
            self.check()
            self._now.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), self.config.beat_s)

    def check(self) -> None:
        """Report the servers that fell silent."""
        oldest = self.clock() - self.config.down_after_s
        for name, peer in self._known.items():
            if peer.up and peer.beat_at < oldest:
                peer.up, peer.told_at = False, -math.inf
                log.warning("peer.down", server=name)
                _report(self.on_down, name)
            elif peer.up and peer.run != peer.told:
                self._tell_up(name, peer)

    def _hear_own(self, beat: Beat, body: bytes) -> None:
        """Another process under our name. One heartbeat may be the last of our own former run; of two that are at work the one that
        started first goes on: its run is lower. Raises `NotBelieved`."""
        if beat.run < self.run:
            read_signed(self.trust.identity.public, PURPOSE, body, Beat)
            self._twins = (beat.run, self._twins[1] + 1 if self._twins[0] == beat.run else 1)
            if self._twins[1] == TWIN_BEATS:
                self.on_twin()

    def _heard(self, body: bytes, publisher: str | None) -> None:
        if self._stopped:
            return
        try:
            if len(body) > MOST_BYTES:
                raise NotBelieved(f"a heartbeat has {len(body)} bytes")
            beat = read_unproven(body, Beat)
            if beat.server == self.server:
                self._hear_own(beat, body)
                return
            if not self.broker.speaks_for(publisher, beat.server):
                raise NotBelieved(f"the broker's user {publisher!r} sent a heartbeat of {beat.server}")
            card = self.trust.peers.card(beat.server)
            if card is None:
                self.want_card(beat.server)
                return
            if not self._checked.takes(beat.server):
                self.left_out += 1
                return
            read_signed(card.certificate.key, PURPOSE, body, Beat)
            self._believe(beat)
        except NotBelieved as refusal:
            self.refused += 1
            who = publisher or ""
            if self.lines.takes(who):
                log.warning("peer.beat_refused", why=str(refusal), left_out=self.lines.rest(who))

    def _believe(self, beat: Beat) -> None:
        name, now = beat.server, self.clock()
        known = self._known.get(name)
        last = None if known is None else known.numbers.get(beat.run)
        if last is None and abs(self.trust.clock() - beat.at) > GOOD_FOR_S:
            raise NotBelieved(f"a heartbeat of {name} is of another time, and of a run that was never heard")
        if last is not None and beat.number <= last:
            raise NotBelieved(f"a heartbeat of {name} was heard before")
        if known is None:
            self._known[name] = Peer(beat.run, now, {beat.run: beat.number}, beat.run, now)
            self._hear_eras(beat)
            self.on_up(name)
            return
        known.beat_at = now
        known.count(beat.run, beat.number)
        self._hear_eras(beat)
        was_up, known.up, known.run = known.up, True, beat.run
        if not was_up or known.run != known.told:
            self._tell_up(name, known)

    def _tell_up(self, name: str, peer: Peer) -> None:
        """Say that a server is up. One that names another run with each heartbeat is asked no more often than one that starts again and
        again."""
        now = self.clock()
        if now >= peer.told_at + self.config.down_after_s:
            peer.told, peer.told_at = peer.run, now
            log.info("peer.up", server=name)
            _report(self.on_up, name)

    def _hear_eras(self, beat: Beat) -> None:
        if beat.server == GLOBAL:
            self.eras.hear(beat.eras)


def _report(listener: Callable[[str], None], name: str) -> None:
    try:
        listener(name)
    except Exception:  # a listener may fail; the heartbeats must go on
        log.exception("peer.listener_failed")
