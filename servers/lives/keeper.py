"""Keeps the life of a server's log: at every start, and while it runs. Rule: nothing is written to a log that lacks what is known of it.

What the history still has is put behind the log's end, then another life begins. Only what nobody has waits for the ops.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field

import structlog

from broker.port import Broker
from domain.errors import Unavailable
from runtime.background_task import BackgroundTasks
from servers.encryption.key_tables import open_table
from servers.lives.continuation import HISTORY, Continuation, OtherLog, Seen, continuation, refuse_another_log
from servers.lives.history_since import HistorySince, newest_in_history, read_history_since
from servers.lives.knowledge import Known, Loss, sentence
from servers.store.databases import open_tables, open_view
from servers.store.event_store import Store
from servers.store.log.event_log import SetBack
from servers.trust.publications import HistoryJudge
from servers.writing.projector import Projector
from servers.writing.writer import Writer

CONNECT_S = 5.0  # a server that cannot reach its broker starts all the same, and looks as soon as it can
MARGIN_S = 60.0  # by how much the clocks of this server and of its broker may differ
AGAIN_S = 60.0  # how often a peer's word makes a server look into the history, at most
SURE = 3  # how often a server that was set back asks whether another one is at work under its name
LOOK_S = 1.0  # how often a server that waits for its ops asks whether they have accepted

TWICE = (
    "Another process serves {server} already, from this log or a copy of it. "
    "Stop that process, or start this one from the directory that belongs to it."
)
SET_BACK_MEANWHILE = (
    "The log of {server} was set back while this process stood by: it had come to {folded}, and ends at {end}. "
    "Start it again: it puts back what can be."
)

log = structlog.get_logger()


class Taken(Unavailable):
    """The same log is at work already."""


@dataclass(slots=True, kw_only=True, eq=False)
class LifeKeeper:
    """One server's. `ask_others`: how far other servers know this log to have come; `accepted`: whether the ops have accepted a loss;
    `judge`: who says what of the history is believed; `another`: whether another process is at work under this name, where no lease says
    so."""

    server: str
    store: Store
    writer: Writer
    projector: Projector
    broker: Broker
    store_url: str
    keys_url: str
    clock: Callable[[], float]
    end: Callable[[], int]  # the position of the newest commit
    ask_others: Callable[[], Awaitable[Known | None]]
    accepted: Callable[[Loss], Awaitable[bool]]
    judge: Callable[[], HistoryJudge] = HistoryJudge
    another: Callable[[], Awaitable[bool]] | None = None
    shared: bool = False  # whether another process may write to this log as well, so that `end` may lag behind the store
    waits: str = field(default="", init=False)  # for the ops: what a server says that may not serve
    waiting: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # set with `waits`
    over: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # set when a running server must end
    parts_at: int = field(default=0, init=False)  # the first position at which the history has something else, at this start
    put_back: int = field(default=0, init=False)  # events that the history had, at this start
    doubts: int = field(default=0, init=False)  # how often a peer knew more than the log has
    _looked_at: float = field(default=0.0, init=False)
    _looking: BackgroundTasks = field(default_factory=lambda: BackgroundTasks("life-look"), init=False)
    _watching: bool = field(default=False, init=False)

    async def begin(self) -> None:
        """Before the first commit: put back what the log lacks, or wait until its ops accept the loss. Raises `Taken`, `Unavailable`."""
        with contextlib.suppress(Unavailable):
            await self.broker.wait_connected(CONNECT_S)
        await self._refuse_twin(1)
        end = await self.store.run(self.store.last_position)
        if self.projector.folded > end:  # this process stood by, and has folded what the log does not have any more
            raise SetBack(SET_BACK_MEANWHILE.format(server=self.server, folded=self.projector.folded, end=end))
        known = await self._known_here(end)
        if known.position > end or self.parts_at:  # before anybody is asked: to ask, a home may be enrolled in the place of another one
            await self._refuse_twin(SURE)  # a log that is behind may be a copy of one that is at work, on a machine that is busy
        told = await self.ask_others()
        if told is not None and told.position > max(end, known.position):
            known = told
            await self._refuse_twin(SURE)
        if known.position > end or self.parts_at:
            what = "life.parted" if self.parts_at else "life.set_back"
            log.error(what, server=self.server, end=end, known=known.position, by=known.who, parts_at=self.parts_at)
            await self._go_on(end, known)
        await self.store.run(self.store.begin_life, self.clock())

    async def _refuse_twin(self, times: int) -> None:
        for _ in range(times if self.another is not None else 0):
            if self.another is not None and await self.another():
                raise Taken(TWICE.format(server=self.server))

    async def _known_here(self, end: int) -> Known:
        """The furthest that its checkpoints and the history know the log to have come. A log that has events goes on without its broker;
        an empty one waits."""
        found = [Known("a checkpoint in the data directory", self.projector.remembered)]
        while True:
            try:
                seen = await self._newest_in_history(end)
                found.append(Known("the history", seen.last))
                self.parts_at = await self.store.run_reader(self._parts_at, seen)
                break
            except Unavailable as error:
                log.warning("life.history_away", server=self.server, detail=error.detail)
                if end:
                    break
            self._say(f"The broker is away, and without its history {self.server} cannot tell whether its log is new or was emptied.")
            await asyncio.sleep(LOOK_S)
        self._say("")
        return max(found, key=lambda known: known.position)

    async def _newest_in_history(self, end: int) -> HistorySince:
        await self.broker.wait_connected(CONNECT_S)
        newest = await self.store.run(self.store.read, end - 1, 1) if end else []
        since = newest[0].event.at - MARGIN_S if newest else 0.0
        life = await self.store.run(self.store.stored_life)
        return await newest_in_history(self.broker, self.server, since, self.judge(), life, end)

    def _parts_at(self, seen: HistorySince) -> int:
        """Where the history of this life has something else than the log: a copy of the log was at work, and its events came first."""
        if not seen.same_places:
            return 0
        return seen.parts_at(self.store.log.read(min(seen.same_places) - 1, max(seen.same_places)))

    async def _go_on(self, end: int, known: Known) -> None:
        """Put behind the log's end what the history has. Returns when that is on disk."""
        while True:
            seen, trackings = await self.store.run_reader(self._look)
            behind, loss = await self._plan(seen, trackings, known)
            if not loss or await self.accepted(loss):
                break
            if self.waits != sentence(loss):
                self._say(sentence(loss))
                log.error("life.waits_for_ops", server=self.server, why=self.waits)
            await asyncio.sleep(LOOK_S)
        await asyncio.to_thread(self._write, seen, behind)
        await asyncio.to_thread(self.projector.forget)
        self._say("")
        self.put_back = len(behind.rows) - 2
        log.warning(
            "life.goes_on", server=self.server, agreed=behind.agreed, put_back=self.put_back, at=behind.continues_at, lost=str(loss)
        )

    def _look(self) -> tuple[Seen, dict[str, int]]:
        seen = Seen()
        with closing(open_view(self.store_url, self.server)) as view:
            seen.see(view.rows())
            return seen, view.trackings()

    async def _plan(self, seen: Seen, trackings: dict[str, int], known: Known) -> tuple[Continuation, Loss]:
        since, other = await self._history(seen, trackings), ""
        life, used = seen.life, max(known.position, since.last)
        parts_at = await self.store.run_reader(self._compare, since) or self.parts_at
        try:
            refuse_another_log(self.server, seen, since, parts_at)
        except OtherLog as reason:
            since, other = HistorySince(), reason.detail
        blind = since.last < trackings.get(HISTORY, 0) or (not since.last and not other)
        behind = continuation(self.server, seen, since, trackings, self.clock(), blind=blind, used=used, parts_at=parts_at)
        first = since.records[0].position if since.records else 0
        missing = behind.missing or ([f"{self.server} 1 to {first - 1}"] if not trackings and not seen.versions and first > 1 else [])
        unreadable = await asyncio.to_thread(self._unreadable, seen)
        return behind, Loss(self.server, life, behind.agreed, known, tuple(missing), unreadable, other)

    async def _history(self, seen: Seen, trackings: dict[str, int]) -> HistorySince:
        try:
            await self.broker.wait_connected(CONNECT_S)
            return await read_history_since(self.broker, self.server, seen.last, trackings, self.judge(), seen.life, seen.seals)
        except Unavailable as error:
            log.warning("life.history_away", server=self.server, detail=error.detail)
            return HistorySince()

    def _compare(self, since: HistorySince) -> int:
        with closing(open_view(self.store_url, self.server)) as view:
            return since.parts_at(view.rows()) if since.same_places else 0

    def _unreadable(self, seen: Seen) -> int:
        with closing(open_table(self.keys_url, self.store_url, self.server)) as keys:
            return len(seen.owners - seen.erased - keys.read(seen.owners).keys())

    def _write(self, seen: Seen, behind: Continuation) -> None:
        with closing(open_table(self.keys_url, self.store_url, self.server)) as keys:
            keys.add(dict.fromkeys(seen.erased))
        self.store.log.let_go()
        with open_tables(self.store_url, self.server) as tables:
            tables.put(behind.rows)
            tables.track(behind.trackings)
            tables.commit()

    def _say(self, why: str) -> None:
        self.waits = why
        if why:
            self.waiting.set()
        else:
            self.waiting.clear()

    def watch(self) -> None:
        """From now on somebody may say that the log had come further."""
        self._watching = True

    def heard_of(self, who: str, position: int) -> None:
        """The Global Server or the history knows how far this log had come."""

        def set_back(end: int) -> None:
            self.stop_writing(f"{who} knows that this log had come to {position}, and it ends at {end}.")

        self._where_beyond(position, set_back)

    def heard_of_peer(self, peer: str, position: int) -> None:
        """A peer says that it has more of this log than there is. It may lie, so its word is a reason to look into the history."""

        def doubted(end: int) -> None:
            self.doubts += 1
            if self.clock() >= self._looked_at + AGAIN_S:
                self._looked_at = self.clock()
                log.error("life.doubted", server=self.server, peer=peer, position=position, end=end)
                self._looking.start(self._look_again())

        self._where_beyond(position, doubted)

    def _where_beyond(self, position: int, act: Callable[[int], None]) -> None:
        """Call `act` with the log's end where `position` is beyond it. A shared log may have grown without this process's knowledge."""
        if not self._watching or position <= self.end():
            return
        if self.shared:
            self._looking.start(self._where_beyond_store(position, act))
        else:
            act(self.end())

    async def _where_beyond_store(self, position: int, act: Callable[[int], None]) -> None:
        with contextlib.suppress(Unavailable):  # nothing can be written then, and who knows more says so again
            end = await self.store.run(self.store.last_position)
            if position > end:
                act(end)

    async def _look_again(self) -> None:
        try:
            self.heard_of("The history", (await self._newest_in_history(await self.store.run(self.store.last_position))).last)
        except Unavailable as error:
            log.warning("life.history_away", server=self.server, detail=error.detail)

    async def stop(self) -> None:
        """Look no more."""
        await self._looking.wait()

    def twin(self) -> None:
        """Another process is at work under this name, and this one gives way."""
        self._stop(Taken(TWICE.format(server=self.server)), "life.at_work_twice")

    def stop_writing(self, why: str) -> None:
        """The log of a running server was set back. It ends, and is put right by its next start."""
        said = f"The log of {self.server} was set back: {why} Restart the server, which puts back what can be."
        self._stop(SetBack(said), "life.set_back_while_running")

    def _stop(self, why: Unavailable, event: str) -> None:
        if not self.waits:
            self._say(why.detail)
            self.writer.halted = why
            log.error(event, server=self.server, why=why.detail)
            self.over.set()
