"""The audit of a whole installation: it follows the history into an indexed store and answers the questions of ops.

Rule: only the history is read, never a server's memory; nothing here runs SQL or reads messages on the event loop.
"""

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog

from broker.port import StreamItem
from broker.topology import HISTORY
from domain.errors import Malformed, Unavailable
from domain.registry.registered_home import GLOBAL
from projections.audit.feeding import Feeder, Message, OtherHistory
from projections.audit.reader import Reader
from projections.audit.rows import AuditFilter, AuditRow, Doubt, Life, Online, Order, Page, Person, Reached, Shown, StateAt
from runtime.background_task import BackgroundTask
from runtime.worker import Worker
from servers.audit.decoder import HistoryDecoder
from servers.trust.publications import HistoryJudge, SpeaksFor, anybody
from servers.trust.server_identity import NotBelieved

MAX_BATCH_BYTES = 2_000_000  # per transaction: some 6,000 events, a quarter of a second; one event when it comes alone
MAX_WAITING = 512  # messages that were read and not yet stored; then reading waits
RETRY_S = 1.0  # pause while the history or the store is away

T = TypeVar("T")

log = structlog.get_logger()


class History(Protocol):
    """Where the history is read: any `Broker`, or `broker.embedded.reader`."""

    def read_stream(self, stream: str, start: int | str = "first", *, follow: bool = True) -> AsyncIterator[StreamItem]:
        """As `broker.port.Broker.read_stream`."""


class Audit:
    """The audit store at `path`, fed from `history`. Use it so:

        audit = Audit(broker, directory / "audit.db")
        await audit.open()          # then every question may be asked
        audit.start()               # follow the history in the background until `stop`
        page = await audit.log(AuditFilter(user=42), limit=50)

    Or `await audit.catch_up()` instead of `start()`: store all that the history holds now, and return. Every question may raise
    `Unavailable`. Texts, names, notes and aliases read as erased everywhere, unless a `decoder` is given: then they are in `StateAt`,
    `Shown` and `texts`, and a state is folded from its stream's first event.
    """

    def __init__(
        self,
        history: History,
        path: Path,
        decoder: HistoryDecoder | None = None,
        global_key: Callable[[], bytes] = lambda: b"",
        speaks_for: SpeaksFor = anybody,
        own_key: Callable[[], bytes] = lambda: b"",
    ) -> None:
        """`global_key`: the Global Server's, with which publications are proven, empty where it is not known here; `speaks_for`: as
        `broker.port.Broker.speaks_for`; `own_key`: with which checkpoints are proven; it may block, and without a key there are none."""
        self._history = history
        self._global_key = global_key
        self._speaks_for = speaks_for
        self._judge = HistoryJudge()
        self._path = path
        self._own_key = own_key
        self._decoder = decoder
        self._feeding = Worker("audit-feeder")
        self._asking = Worker("audit-reader")
        self._feeder: Feeder | None = None
        self._reader: Reader | None = None
        self._task = BackgroundTask("audit")
        self._grown = asyncio.Event()  # replaced whenever the store has grown
        self.reached = Reached(0, 0, None, None, 0)  # how far the store has come: see `Reached`

    async def open(self) -> None:
        """Open the store, or make it. Raises `Unavailable`."""
        key, decode = await self._feeding.run(self._own_key), (self._decoder or HistoryDecoder()).decode
        self._feeder = await self._feeding.run(partial(Feeder, self._path, HistoryDecoder().decode, key=key))  # without people's keys
        self._reader = await self._asking.run(partial(Reader, self._path, decode, key=key, personal=self._decoder is not None))
        self.reached = await self._feeding.run(self._feeder.reached)
        await self._new_judge()

    def start(self) -> None:
        """Follow the history from where the store stands, also after each loss of the broker, until `stop`."""
        self._task.start(self._follow())

    async def stop(self) -> None:
        """Stop following and let go of the store. What was not stored is read again at the next start."""
        await self._task.stop()
        for worker, store in ((self._feeding, self._feeder), (self._asking, self._reader)):
            if store is not None:
                await worker.run(store.close)
            await asyncio.to_thread(worker.stop)
        self._feeder = self._reader = None

    async def catch_up(self) -> Reached:
        """Store everything that the history holds now, and return how far that is. Raises `Unavailable`."""
        await self._read_or_begin_anew(follow=False)
        return self.reached

    async def grown(self, entries: int, timeout_s: float | None = None) -> bool:
        """Wait until the store holds more than `entries` (`reached.entries` of an earlier look). False when the time is over before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.reached.entries <= entries:
                    await self._grown.wait()
        return self.reached.entries > entries

    @property
    def refused(self) -> int:
        """Messages of the history that were not believed, since the last start or the stream's last beginning."""
        return self._judge.refused

    # -- questions

    async def log(self, wanted: AuditFilter, *, cursor: str | None = None, limit: int = 100, order: Order = "newest") -> Page:
        """A page of the log: `rows` and `next`, the cursor of the page after it (None at the end). `order`: "newest" first, "oldest"
        first, or in the order of "arrival", which looks at every entry after the cursor: for a live tail, ask for it after the last
        row's id (`cursor=str(row.id)`), then await `grown`. Raises `Invalid` for a cursor that was not given by the same order, or a
        limit that is not 1 to 1,000."""
        return await self._ask(lambda r: r.log.page(wanted, cursor, limit, order))

    async def trace(self, message: str) -> list[Life]:
        """The whole life of the popup with this id; one `Life` for each sender who used the id, none when nobody did."""
        return await self._ask(lambda r: r.trace(message))

    async def state_at(self, uid: int, at: float) -> StateAt:
        """Contacts, sessions, status and waiting mailbox of a user at a moment. Raises `UnknownUser`."""
        return await self._ask(lambda r: r.moments.state(uid, at))

    async def window_at(self, uid: int, at: float) -> list[Shown]:
        """What the user's contact window showed. Raises `UnknownUser`."""
        return await self._ask(lambda r: r.moments.window(uid, at))

    async def online_at(self, at: float) -> list[Online]:
        """The users who were online, by uid."""
        return await self._ask(lambda r: r.moments.online(at))

    async def person(self, uid: int) -> Person:
        """Handle and home of a user. Raises `UnknownUser`."""
        return await self._ask(lambda r: r.moments.person(uid))

    async def by_handle(self, handle: str) -> Person:
        """The user with this login name. Raises `UnknownUser`."""
        return await self._ask(lambda r: r.moments.by_handle(handle))

    async def handles(self, uids: Collection[int]) -> dict[int, str]:
        """The login names of those among them (at most 1,000) whom the history has named."""
        return await self._ask(lambda r: r.moments.handles(uids))

    async def doubts(self) -> list[Doubt]:
        """Where times are doubtful: an answer about a moment goes by the order of each log there."""
        return await self._ask(lambda r: r.moments.doubts())

    async def eras(self) -> dict[int, int]:
        """The eras of the history that were read, each with the number at which its ids begin."""
        return await self._ask(lambda r: {era: base for base, era in r.log.eras()})

    async def topics(self) -> list[str]:
        """Every topic that occurs."""
        return await self._ask(lambda r: r.log.topics())

    async def sources(self) -> list[str]:
        """Every server of which there is an event: `global` and the homes."""
        return await self._ask(lambda r: r.log.sources())

    async def texts(self, rows: Sequence[AuditRow]) -> list[dict[str, Any]]:
        """All stored fields of these rows, texts and names included, for an audit that has a `decoder`."""
        decoder = self._decoder
        if decoder is None:
            raise Unavailable("this audit has no keys")
        return await self._ask(lambda r: [decoder.fields(row) for row in rows])

    async def _ask(self, question: Callable[[Reader], T]) -> T:
        if self._reader is None:
            raise Unavailable("the audit is closed")
        try:
            return await self._asking.run(question, self._reader)
        except sqlite3.Error as error:
            raise Unavailable(f"the audit store cannot be read: {error}") from error

    # -- feeding

    async def _follow(self) -> None:
        while True:
            try:
                await self._read_or_begin_anew(follow=False)
                await self._read(follow=True)
            except Unavailable as error:
                log.warning("audit.interrupted", detail=error.detail)
            except Exception:
                log.exception("audit.failed")
            await asyncio.sleep(RETRY_S)

    async def _new_judge(self) -> None:
        assert self._feeder is not None
        key = self._global_key() or await self._feeding.run(self._feeder.global_key)
        self._judge = HistoryJudge(key, self._speaks_for, begun=self.reached.era > 0)

    async def _read_or_begin_anew(self, *, follow: bool) -> None:
        """Read the history. Where its stream was begun anew by the same Global Server, the store goes on in another era."""
        try:
            await self._read(follow=follow)
        except OtherHistory:
            if self._feeder is None or not await self._is_ours():
                raise
            self.reached = await self._feeding.run(self._feeder.begin_anew)
            log.warning("audit.history_begun_anew", entries=self.reached.entries)
            await self._new_judge()
            await self._read(follow=follow)

    async def _is_ours(self) -> bool:
        """Whether the Global Server whose history is in the store has signed something in this stream, too."""
        assert self._feeder is not None
        key = self._global_key() or await self._feeding.run(self._feeder.global_key)
        if not key:
            return False
        judge = HistoryJudge(key, self._speaks_for)
        async for item in self._history.read_stream(HISTORY, "first", follow=False):
            with contextlib.suppress(Malformed, NotBelieved):
                told = judge.read(item)
                if told.source == GLOBAL and told.head is not None:
                    return True
        return False

    async def _read(self, *, follow: bool) -> None:
        """Read the history into the store; what comes while a batch is stored is the next batch. The last message of the previous time
        is read again, because it shows whether this is still the same history. Raises `OtherHistory`, `Unavailable`."""
        known = self.reached.offset > 0
        waiting: asyncio.Queue[StreamItem | None] = asyncio.Queue(MAX_WAITING)
        items = self._history.read_stream(HISTORY, max(0, self.reached.offset - 1), follow=follow)
        pump = asyncio.create_task(_pump(items, waiting), name="audit-read")
        try:
            ended = False
            while not ended:
                batch: list[StreamItem] = []
                room = MAX_BATCH_BYTES
                item = await waiting.get()
                while item is not None:
                    batch.append(item)
                    room -= len(item.body)
                    if room <= 0 or waiting.empty():
                        break
                    item = waiting.get_nowait()
                ended = item is None
                if batch:
                    known = False
                    await self._store(batch)
            await pump
            if known:  # the stream ends before what is in the store
                raise OtherHistory
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def _store(self, items: list[StreamItem]) -> None:
        if self._feeder is None:
            raise Unavailable("the audit is closed")
        self.reached = await self._feeding.run(_feed, self._feeder, items, self._judge)
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()


async def _pump(items: AsyncIterator[StreamItem], waiting: "asyncio.Queue[StreamItem | None]") -> None:
    """Put every item into the queue, and None after the last or when reading failed."""
    try:
        async for item in items:
            await waiting.put(item)
    except Exception:
        await waiting.put(None)
        raise
    await waiting.put(None)


def _feed(feeder: Feeder, items: list[StreamItem], judge: HistoryJudge) -> Reached:
    return feeder.feed([message_of(item, judge) for item in items])


def message_of(item: StreamItem, judge: HistoryJudge) -> Message:
    """An item of the stream as the store takes it; without a source where it cannot be read or is not believed, which `judge` logs."""
    mark = hashlib.sha256(item.body).digest()[:8]
    try:
        told = judge.read(item)
    except (Malformed, NotBelieved):
        return Message(item.offset, "", (), mark)
    head = told.head
    if head is None:
        return Message(item.offset, told.source, told.events, mark)
    era, key = (head.era, judge.global_key) if told.source == GLOBAL and judge.global_key else (0, b"")
    return Message(item.offset, told.source, told.events, mark, (head.life, head.former, head.agreed), (head.after, head.last), era, key)
