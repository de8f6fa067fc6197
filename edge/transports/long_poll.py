"""The long poll: the same parts, fetched by one request after the other, for networks that hold streams back.

Rule: a session that no client polls costs its buffer, and neither a task nor a timer. A poll in progress is a running request.

A part leaves the buffer when a poll takes it. Only the client knows whether the answer arrived. A client that missed one opens a new
session and says how far it got (`upto`), and the mailbox gives the rest again. So nothing is kept here for answers that got lost.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from msgspec import Raw

from domain.errors import Unavailable, UnknownSession
from edge.contracts import answers, requests
from edge.contracts.servers import Home, Session
from edge.http.messages import Answer, Call, Peer, answer_json
from edge.http.metrics import EdgeMetrics
from edge.http.problems import problem
from edge.transports.framing import GOODBYE
from runtime.bounds import Bound, Holding
from servers.sessions.parts import BLANK, Part
from servers.sessions.sessions import Hello

MAX_BUFFERED_BYTES = 65_536  # as a back connection's high-water mark: one write of a session may pass it, then the session waits
MAX_BUFFERED_PARTS = 128  # two writes of a session: many small parts cost more memory than their bytes
MAX_FAREWELLS = 1_000  # sessions that ended between two polls: their clients poll again within a minute, or they are dead
MOST_BYTES = 128_000_000  # of what waits for all polls, a long welcome included; a user may hold a quarter of it
PART_BYTES = 200  # of a part besides its body
POLLED = Bound(
    name="polled_parts",
    holds="parts that wait for polls",
    filled_by="users whose clients do not poll, and whoever writes to them",
    past="a session of a user at a quarter of the bytes is dropped, anybody's at all of them, and the client comes back",
    within=("PollOutlet._parts", "PollOutlet._pieces", "LongPolls._open", "LongPolls.of"),
    entries=MOST_BYTES // PART_BYTES,
    bytes=MOST_BYTES,
)
FAREWELLS = Bound(
    name="farewells",
    holds="goodbyes of polled sessions",
    filled_by="users whose sessions end between two polls",
    past="the oldest is forgotten, and its client is told that the session is unknown",
    within=("LongPolls._farewells",),
    entries=MAX_FAREWELLS,
    each=1_000,
    cache=True,
)


class LongPolls:
    """The polled sessions of one home."""

    def __init__(self, home: Home, metrics: EdgeMetrics, most_bytes: int = MOST_BYTES) -> None:
        self.home = home
        self.most_bytes = most_bytes
        self.metrics = metrics
        self._open: dict[str, PollOutlet] = {}
        self._forgotten = 0  # farewells that nobody took
        self.parts = self.bytes = 0  # that wait, and of these
        self.of: Counter[int] = Counter()  # the same by user
        self.dropped = 0  # sessions for whose parts there was no room
        self._farewells: dict[str, PollOutlet] = {}  # ended, with a goodbye that no poll has taken yet; oldest first

    async def answer(self, call: Call) -> Answer:
        """Fetch parts, where streams are held back; opens the session when there is none, and acknowledges.

        Raises `UnknownSession` for a session that is over, another user's, or no polled one; then nothing has changed.
        """
        body: requests.Poll = call.body
        if body.session is None:
            return await self._log_in(call, body)
        outlet = self._open.get(body.session) or self._farewells.get(body.session)
        if outlet is None or outlet.uid != call.identity.uid:
            raise UnknownSession
        turn = outlet.take_turn()
        if not outlet.ended:
            await self.home.acknowledge(call.identity, body.session, body.upto)
        # A client that polls is alive, and one that waits must poll again before the home begins to doubt it.
        parts = await outlet.take(turn, min(body.wait_s, self.home.blank_s), call.connection)
        return self._render(body.session, parts)

    async def _log_in(self, call: Call, body: requests.Poll) -> Answer:
        hello = Hello(body.client, True, body.replaces, body.upto or None)  # without a number it does not resume
        outlet = PollOutlet(self, call.identity.uid)
        try:
            session = await self.home.log_in(call.identity, hello, outlet)
        except BaseException:
            outlet.abort()
            raise
        if call.connection.gone:  # the client will never learn the name of its session
            outlet.let_go()
            self.home.lost(session)
            return problem(Unavailable("The client has gone."))
        outlet.opened(session)
        return self._render(session.id, outlet.drain())

    def _render(self, session_id: str, parts: Sequence[Part]) -> Answer:
        polled = [answers.PolledPart(part.name, Raw(part.body)) for part in parts]
        answer = answer_json(200, answers.Parts(session_id, polled))
        self.metrics.pushed(parts, len(answer.body) if parts else 0)
        return answer

    def hold(self, uid: int, parts: int, size: int) -> bool:
        """So much more, or less, waits for the polls of this user. False when it is too much."""
        self.parts += parts
        self.bytes += size
        self.of[uid] += size
        if not self.of[uid]:
            del self.of[uid]
        return size <= 0 or (self.bytes <= self.most_bytes and self.of[uid] <= self.most_bytes // 4)

    def add(self, session_id: str, outlet: "PollOutlet") -> None:
        """A session may be polled from now on."""
        self._open[session_id] = outlet

    def remove(self, session_id: str) -> None:
        """A session is over and everything is said."""
        self._open.pop(session_id, None)
        self._farewells.pop(session_id, None)

    def keep_farewell(self, session_id: str) -> None:
        """A session is over; the next poll is told so."""
        outlet = self._open.pop(session_id, None)
        if outlet is not None:
            self._farewells[session_id] = outlet
            if len(self._farewells) > MAX_FAREWELLS:
                self._farewells.pop(next(iter(self._farewells))).let_go()
                self._forgotten += 1

    def holdings(self) -> Iterator[Holding]:
        """What waits for polls."""
        yield replace(POLLED, bytes=self.most_bytes).holding(self.parts, self.bytes, refused=self.dropped)
        yield FAREWELLS.holding(len(self._farewells), refused=self._forgotten)


class PollOutlet:
    """A polled session's outlet: keeps parts until a poll takes them."""

    __slots__ = (
        *("_bytes", "_collected", "_owed", "_owner", "_parts", "_piece_name", "_pieces", "_session"),
        *("_turn", "_waiter", "ended", "uid"),
    )

    def __init__(self, owner: LongPolls, uid: int) -> None:
        self.uid = uid
        self.ended = False  # nothing more may be written
        self._owner = owner
        self._session: Session | None = None
        self._parts: list[Part] = []
        self._bytes = 0
        self._pieces: list[bytes] = []  # of a part that is not whole yet
        self._collected = 0  # bytes of them
        self._piece_name = ""
        self._owed = 0
        self._turn = 0  # of the newest poll; an older one takes nothing any more
        self._waiter: asyncio.Future[None] | None = None

    # -- the polls' side -------------------------------------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        """`log_in` has returned this session."""
        self._session = session
        if self.ended:
            self._owner.home.lost(session)
        else:
            self._owner.add(session.id, self)

    def take_turn(self) -> int:
        """A new poll has come. The one before it ends empty if it still waits, because its client has given it up."""
        self._turn += 1
        self._wake()
        return self._turn

    async def take(self, turn: int, wait_s: float, connection: Peer) -> list[Part]:
        """The parts that wait, else the first that come within `wait_s`. Raises `UnknownSession` when it ended without a goodbye."""
        if turn == self._turn and wait_s > 0 and not self._parts and not self.ended:
            self._waiter = waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(wait_s):
                    await waiter
            except TimeoutError:
                pass  # an empty answer says that the home is alive
            finally:
                if self._waiter is waiter:
                    self._waiter = None
            if connection.half_closed:
                return []  # a client that hangs up while it waits reads no answer either, so the parts go to the next poll
        if turn != self._turn or connection.gone:
            return []
        if self.ended and not self._parts:
            raise UnknownSession
        return self.drain()

    def drain(self) -> list[Part]:
        """Every part that waits. The session may write on."""
        full = not self.writable
        parts = self._parts
        self.let_go()
        if self._session is not None:
            if self.ended:
                self._owner.remove(self._session.id)
            elif full:
                self._session.resume()
        return parts

    def _keep(self, parts: Sequence[Part]) -> None:
        size = sum([PART_BYTES + len(part.body) for part in parts])
        self._parts += parts
        self._bytes += size
        self._hold(len(parts), size)

    def let_go(self) -> None:
        """Nothing waits here any more."""
        self._owner.hold(self.uid, -len(self._parts), -self._bytes)
        self._parts, self._bytes = [], 0

    def _forget_pieces(self) -> None:
        self._owner.hold(self.uid, 0, -self._collected)
        self._pieces, self._collected = [], 0

    def _hold(self, parts: int, size: int) -> None:
        """More waits here. A session whose user holds too much is dropped: what waits in the mailbox comes again with the next one."""
        if not self._owner.hold(self.uid, parts, size) and not self.ended:
            self._owner.dropped += 1
            self.abort()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def write(self, parts: Sequence[Part]) -> None:
        """Keep the parts for the next poll, or wake the one that waits. Blanks are not kept, because polls show that both are alive."""
        for part in parts:
            if self.ended:
                return
            if part.name != BLANK.name:
                self._keep((part,))
                if part.name == GOODBYE:
                    self.ended = True
        if self._parts:
            self._wake()

    def begin_part(self, name: str, size: int) -> None:
        """Collect a part whose body follows in pieces; no poll gets it before it is whole."""
        self._forget_pieces()
        self._piece_name, self._owed = name, size

    def write_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.ended:
            return
        self._pieces.append(data)
        self._collected += len(data)
        self._hold(0, len(data))
        self._owed -= len(data)
        if not self._owed and not self.ended:
            body = b"".join(self._pieces)
            self._forget_pieces()
            self.write((Part(self._piece_name, body),))

    @property
    def awaited(self) -> bool:
        """Whether a poll waits for parts."""
        return self._waiter is not None

    @property
    def writable(self) -> bool:
        """Whether the buffer takes more right now."""
        return not self.ended and self._bytes < MAX_BUFFERED_BYTES and len(self._parts) < MAX_BUFFERED_PARTS

    def close(self) -> None:
        """The session is over. Only its goodbye is kept, because what waits in the mailbox comes again with the next session."""
        self.ended = True
        goodbye = [part for part in self._parts[-1:] if part.name == GOODBYE]
        self._forget_pieces()
        self.let_go()
        self._keep(goodbye)
        if self._session is not None:
            if self._parts:
                self._owner.keep_farewell(self._session.id)
            else:
                self._owner.remove(self._session.id)
        self._wake()

    def abort(self) -> None:
        """Drop the session and what nobody has taken."""
        self.ended = True
        self._forget_pieces()
        self.let_go()
        session = self._session
        if session is not None:
            self._owner.remove(session.id)
            # Later, because the home may be writing to this very session now.
            asyncio.get_running_loop().call_soon(self._owner.home.lost, session)
        self._wake()
