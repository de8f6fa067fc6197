"""Compares a server's clock with those that it can ask: its database's and the Global Server's. Rule: a wrong clock stops a start, never a
server at work.

Times decide what expires, and stand in the log for ever. A server that starts with a wrong clock has not done anything yet, so it refuses.
One that runs only says so, because otherwise a Global Server with a wrong clock would stop every home; but nothing expires there meanwhile.
Where nobody can be asked, or all share one clock, a boot with a wrong clock looks like a long silence, and a clock that is set looks like a
jump: then nothing expires for an hour, in which the clock is put right.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from runtime.background_task import BackgroundTask
from servers.messaging.questions import AskTime, Requests, ToldTime, ask
from servers.store.event_store import Store

DATABASE, GLOBAL_SERVER = "the database", "the Global Server"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ClockConfig:
    """`wrong_s`: a clock that differs by more is wrong. NTP keeps clocks within milliseconds, and tokens live for minutes."""

    wrong_s: float = 30.0
    every_s: float = 60.0  # two small questions a minute
    first_answer_s: float = 1.0  # a start does not wait longer for a Global Server that may be away
    answer_s: float = 5.0
    silence_s: float = 86_400.0  # after a start that follows such a silence, or a jump…
    patience_s: float = 3_600.0  # …nothing expires for this time


@dataclass(slots=True, eq=False)
class ClockCheck:
    """`clock`: of this machine, in seconds since 1970; `monotonic`: seconds since some moment. `ahead_s`: by how much this clock is ahead
    of others', by whose; `log_ahead_s`: by how much the newest event of the log is ahead of this clock."""

    server: str
    store: Store
    requests: Requests
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    config: ClockConfig
    ahead_s: dict[str, float] = field(default_factory=dict, init=False)
    log_ahead_s: float = field(default=0.0, init=False)
    _patient_until: float = field(default=float("-inf"), init=False)
    _offset: float | None = field(default=None, init=False)  # between both clocks, when they were compared last
    _said: str | None = field(default=None, init=False)
    _task: BackgroundTask = field(init=False)

    def __post_init__(self) -> None:
        self._task = BackgroundTask(f"clock-{self.server}")

    async def refuse_wrong(self) -> None:
        """Before the server does anything. Raises `Unavailable` when the clock is wrong."""
        await self._look(self.config.first_answer_s)
        if (wrong := self.wrong()) is not None:
            log.error("clock.refused", server=self.server, why=wrong)
            raise Unavailable(f"{wrong} Put it right before this server starts.")
        newest = await self.store.run(self.store.newest)
        if newest is None:
            return
        self.log_ahead_s = max(0.0, newest.event.at - self.clock())
        if self.log_ahead_s > self.config.wrong_s:
            log.error("clock.log_ahead", server=self.server, position=newest.position, seconds=round(self.log_ahead_s))
        if self.clock() - newest.event.at > self.config.silence_s:
            self._patient_until = self.monotonic() + self.config.patience_s

    def start(self) -> None:
        """Look now and then."""
        self._task.start(self._watch())

    async def stop(self) -> None:
        """Look no more."""
        await self._task.stop()

    def wrong(self) -> str | None:
        """None while the clock is as others' are, else a sentence."""
        for whose, ahead_s in self.ahead_s.items():
            if abs(ahead_s) > self.config.wrong_s:
                return f"The clock of this machine is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} that of {whose}."
        return None

    async def may_expire(self) -> bool:
        """Look anew, because the clock may have jumped a moment ago. False when the time may be wrong."""
        await self._look(self.config.answer_s)
        return self.seems_right

    @property
    def seems_right(self) -> bool:
        """Whether nothing spoke against the time at the last look, and the clock has not jumped since. Half a microsecond."""
        moment = self.monotonic()
        jumped = self._offset is not None and abs(self.clock() - moment - self._offset) > self.config.wrong_s
        return not jumped and moment >= self._patient_until and self.wrong() is None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.config.every_s)
            await self._look(self.config.answer_s)
            wrong = self.wrong()
            if wrong != self._said and (wrong is None or self._said is None):
                log.error("clock.wrong", server=self.server, why=wrong) if wrong else log.info("clock.right_again", server=self.server)
            self._said = wrong

    async def _look(self, answer_s: float) -> None:
        offset, self._offset = self._offset, self.clock() - self.monotonic()
        if offset is not None and abs(self._offset - offset) > self.config.wrong_s:
            log.warning("clock.jumped", server=self.server, seconds=round(self._offset - offset))
            self._patient_until = self.monotonic() + self.config.patience_s
        try:
            before = self.clock()
            if (now := await self.store.run_reader(self.store.log.now)) is not None:
                self._compare(DATABASE, before, now)
        except Unavailable:
            self.ahead_s.pop(DATABASE, None)
        if self.server != GLOBAL:
            try:
                before = self.clock()
                told = await ask(self.requests, GLOBAL, AskTime(), ToldTime, answer_s)
                if told.time > 0:
                    self._compare(GLOBAL_SERVER, before, told.time)
            except (Unavailable, msgspec.MsgspecError):
                self.ahead_s.pop(GLOBAL_SERVER, None)

    def _compare(self, whose: str, before: float, told: float) -> None:
        """The other clock was read between `before` and now: what the way took is in the difference's favour."""
        early, late = before - told, self.clock() - told
        self.ahead_s[whose] = early if early > 0 else late if late < 0 else 0.0
