"""Blanks and liveness for all sessions from one timer. Rule: no timer, task or wake-up per session.

Sessions sit in the slots of a wheel that turns once per blank interval. When its slot comes up, a session gets a blank. Every quarter turn
the wheel checks it: a session that promised to answer blanks is dead when its last sign of life is older than two turns. So a death is
noticed at most 2.25 intervals after the last sign of life.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from runtime.background_task import BackgroundTask
from servers.sessions.parts import BLANK, Outlet

INTERVAL_S = 30.0  # unless FLASH_BLANK_S says otherwise: common load balancers cut idle connections at 60 s, and two blanks fit
SLOTS = 32  # ticks per turn: about one a second at the default 30 s; 10,000 sessions make 313 writes a tick
QUIET_TURNS = 2.0  # no sign of life for two turns: two blanks unanswered


class Client(Protocol):
    """Sits on the wheel: a `Session` at a home, a `Subscriber` at the Global Server."""

    slot: int

    @property
    def outlet(self) -> Outlet:
        """Where blanks go."""

    @property
    def pong(self) -> bool:
        """Whether it answers blanks, so that silence means that it is dead."""

    @property
    def seen_at(self) -> float:
        """Its last sign of life."""


C = TypeVar("C", bound=Client)


class BlankWheel(Generic[C]):
    """The shared timer of one server."""

    def __init__(self, interval_s: float, clock: Callable[[], float], on_dead: Callable[[C], None]) -> None:
        self.interval_s = interval_s
        self._clock = clock
        self._on_dead = on_dead
        self._slots: list[dict[C, None]] = [{} for _ in range(SLOTS)]  # a set would take three times the room
        self._next = 0
        self._at = 0
        self._task = BackgroundTask("blanks")

    def add(self, session: C) -> None:
        """Put a session on the wheel. Sessions go to the slots in turn, so that a flood of logins does not become a flood of blanks."""
        session.slot = self._next
        self._next = (self._next + 1) % SLOTS
        self._slots[session.slot][session] = None

    def remove(self, session: C) -> None:
        """Take a session off the wheel."""
        self._slots[session.slot].pop(session, None)

    def start(self) -> None:
        """Turn the wheel from now on."""
        self._task.start(self._run())

    async def stop(self) -> None:
        """Turn the wheel no more."""
        await self._task.stop()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        tick_s = self.interval_s / SLOTS
        due = loop.time()
        while True:
            due = max(due + tick_s, loop.time())  # after a pause of the machine, go on from now instead of catching up in a burst
            await asyncio.sleep(due - loop.time())
            self.tick()

    def tick(self) -> None:
        """One step of the wheel."""
        self._at = (self._at + 1) % SLOTS
        for session in list(self._slots[self._at]):
            if session.outlet.writable:
                session.outlet.write((BLANK,))
        oldest = self._clock() - QUIET_TURNS * self.interval_s
        for quarter in range(4):
            for session in list(self._slots[(self._at - quarter * SLOTS // 4) % SLOTS]):
                if session.pong and session.seen_at < oldest:
                    self._on_dead(session)
