"""Seals this server's log: from time to time an event says what the log holds. Rule: each event is hashed once, and nothing waits for it.

Commits are hashed when a seal is due, 2 µs an event. They are taken from memory; older ones (after a crash, or of another process on the
same store) are read from the store. A seal is made only when there is an event other than a seal, so an idle server stays quiet.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence

import structlog

from domain.errors import Unavailable
from domain.events.integrity import LogSealed
from domain.integrity.chain import before_all, fingerprint, seal, statement
from domain.integrity.commands import SealLog
from domain.integrity.state import SealedState
from runtime.background_task import BackgroundTask
from servers.integrity.policy import SealPolicy
from servers.messaging.recent_commits import MAX_BYTES, RecentCommits
from servers.store.event_store import Committed, Store
from servers.writing.writer import Writer

SPREAD = 0.2  # of the seconds between seals, taken off at random, so that two Global Servers on one store seldom seal at the same moment
PAGE = 1_000  # events read at a time: about half a megabyte

log = structlog.get_logger()


class Sealer:
    """Makes the seals of one server."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        server: str,
        policy: SealPolicy,
        recent: RecentCommits,
        sign: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """`recent`: the writer's commits; `sign`: as the server; None where it has no identity, in tests of other things."""
        self._sign = sign
        self._store = store
        self._writer = writer
        self._server = server
        self._policy = policy
        self._stream = f"log-{server}"
        self._digest = ""  # of the newest seal
        self._claimed = 0  # the last position under the newest seal that this process made
        self._positions: list[int] = []  # hashed, not yet sealed
        self._fingerprints: list[bytes] = []
        self._hashed = 0  # everything up to here is hashed
        self._recent = recent
        self._log = recent.follow(full_at=policy.events)  # its position: everything up to there is sealed
        self._news = 0  # the last position that we know to hold something else than a seal
        self._unsure = True  # only the store knows which seal was the last
        self._stopping = False
        self.task = BackgroundTask(f"sealer-{server}")
        self.seals = 0

    def start(self) -> None:
        """Begin to seal, after the end of the last seal."""
        self.task.start(self._run())

    async def stop(self) -> None:
        """Seal the rest and stop: a server that was stopped leaves nothing unsealed but its last seal."""
        self._stopping = True
        self._log.arrived.set()
        self._log.full.set()
        await self.task.wait()

    @property
    def sealed(self) -> int:
        """Everything up to this position is sealed."""
        return self._log.position

    @property
    def unsealed(self) -> int:
        """How many positions are committed but not yet sealed; at rest 1, that of the last seal."""
        return self._log.lag

    def _take(self, committed: Sequence[Committed]) -> None:
        self._positions += [position for position, _, _ in committed]
        self._fingerprints += [fingerprint(record.stream, record.version, record.topic, record.data) for _, _, record in committed]
        seals = [event for _, event, _ in committed if type(event) is LogSealed]
        if len(seals) < len(committed):
            self._news = next(position for position, event, _ in reversed(committed) if type(event) is not LogSealed)
        if any(event.last > self._claimed for event in seals):  # of another process: only the store knows the last seal
            self._unsure = True
        self._hashed = committed[-1].position

    @property
    def idle(self) -> bool:
        """Whether everything is sealed but the last seal.

        A single trailing seal is not sealed again, else seals would breed seals for ever; two or more (after a long log was caught up
        with) are.
        """
        return self._hashed >= self._recent.last and not self._unsure and self._news <= self.sealed and len(self._positions) <= 1

    async def _run(self) -> None:
        while True:
            try:
                if self._unsure:
                    await self._begin()
                if self.idle:
                    if self._stopping:
                        return
                    self._log.arrived.clear()
                    await self._log.arrived.wait()
                if not self._stopping:
                    with contextlib.suppress(TimeoutError):
                        wait_s = self._policy.seconds * random.uniform(1 - SPREAD, 1)  # noqa: S311 - jitter, not a secret
                        await asyncio.wait_for(self._log.full.wait(), wait_s)
                await self._seal_next()
            except Unavailable as error:
                log.warning("sealer.store_away", error=type(error).__name__)
                self._unsure = True  # a commit whose answer was lost may have happened
                if self._stopping:
                    return
                await asyncio.sleep(self._policy.retry_s)
            except Exception:
                log.exception("sealer.failed")
                self._unsure = True
                if self._stopping:
                    return
                await asyncio.sleep(self._policy.retry_s)
            if self.unsealed < self._policy.events and not self._stopping:
                self._log.full.clear()

    async def _begin(self) -> None:
        """Read from the store where the last seal ended; later events are hashed again."""
        self._writer.states.let_go(self._stream)  # another process may have written to it
        state = await self._store.run(self._store.load, self._stream)
        assert isinstance(state, SealedState)
        self._digest = state.digest or before_all(self._server)
        self._claimed = self._hashed = state.last
        self._positions.clear()
        self._fingerprints.clear()
        self._news = 0
        self._log.passed(state.last)
        self._recent.last = max(self._recent.last, await self._store.run(self._store.last_position))
        self._unsure = False
        if self.unsealed >= self._policy.events:
            self._log.full.set()

    async def _read_on(self) -> None:
        """Hash the next commits, from memory or else from the store, until there is enough for a seal."""
        while self._recent.last > self._hashed and len(self._positions) < self._policy.events and not self._unsure:
            last = self._recent.last
            found = self._recent.after(self._hashed, PAGE, MAX_BYTES) or await self._store.run_reader(self._store.read, self._hashed, PAGE)
            if found:
                self._take(found)
            else:
                self._hashed = last  # there is nothing behind the numbers

    async def _seal_next(self) -> None:
        await self._read_on()
        if self._unsure or not (self._news > self.sealed or len(self._positions) > 1):
            return
        count = min(len(self._positions), self._policy.events)
        fresh = seal(self._digest, self.sealed + 1, self._positions[:count], self._fingerprints[:count])
        self._claimed = fresh.last
        life = self._store.life
        signature = "" if self._sign is None else self._sign(statement(self._server, life, fresh)).hex()
        command = SealLog(server=self._server, seal=fresh, life=life, signature=signature, cause=f"seal-{self._server}-{fresh.last}")
        if not await self._writer.submit((command,)):
            self._unsure = True
            return
        del self._positions[:count]
        del self._fingerprints[:count]
        self._digest = fresh.digest
        self._log.passed(fresh.last)
        self.seals += 1
