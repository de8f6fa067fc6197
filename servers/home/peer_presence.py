"""What a home does when another server is heard again. Rule: users of another home are shown as unknown until that home has answered."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from projections.server.contacters import ContacterIndex
from projections.server.presence import Presence
from runtime.background_task import BackgroundTasks
from servers.messaging.heartbeats import PeerMonitor
from servers.messaging.questions import AskPresence, Requests, ToldPresence, ask, home_key
from servers.sessions.notifier import SessionNotifier

SNAPSHOT_TIMEOUT_S = 5.0
ASK_AGAIN_S = 0.2  # a broker that is away refuses at once: asking again without a pause would keep this home from everything else
UIDS_PER_QUESTION = 1_000  # the answer to a presence question stays below 1 MB

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class PeerPresence:
    """Asks other homes how the users stand whom our users watch. `announce`: tells the Global Server that this home is here."""

    requests: Requests
    peers: PeerMonitor
    contacters: ContacterIndex
    notifier: SessionNotifier
    announce: Callable[[], None]
    ask_again_s: float = ASK_AGAIN_S
    _lives: dict[str, int] = field(default_factory=dict, init=False)  # of the homes' logs, at their last answers
    _learning: dict[str, bool] = field(default_factory=dict, init=False)  # the homes that are asked, and whether they are asked once more
    _asking: BackgroundTasks = field(default_factory=lambda: BackgroundTasks("peer-presence"), init=False)

    def came_up(self, server: str) -> None:
        """A server is heard, for the first time or again."""
        if server == GLOBAL:
            self.announce()
        else:
            self._ask_soon(server)

    def ask_anew(self, server: str) -> None:
        """A server sent again what was lost on its way, and how its users stand is not part of that."""
        if server != GLOBAL and self.peers.is_up(server):
            self._ask_soon(server)

    async def stop(self) -> None:
        """Ask no more."""
        await self._asking.stop()
        self._learning.clear()  # one that was cancelled before it began would count as one that runs

    def _ask_soon(self, home: str) -> None:
        """Ask a home once, and once more when there is a new reason meanwhile, however many there are."""
        if home in self._learning:
            self._learning[home] = True
        else:
            self._learning[home] = False
            self._asking.start(self._ask_until_told(home))

    async def _ask_until_told(self, home: str) -> None:
        try:
            await self._learn(home)
            while self._learning[home]:
                self._learning[home] = False
                await self._learn(home)
        finally:
            self._learning.pop(home, None)

    async def _learn(self, home: str) -> None:
        """Ask until the home answers or falls silent."""
        while self.peers.is_up(home):
            try:
                told = await self._ask(home)
            except Unavailable:
                await asyncio.sleep(self.ask_again_s)
            except msgspec.MsgspecError as error:
                log.error("home.presence_answer_unreadable", home=home, error=type(error).__name__)
                await asyncio.sleep(self.ask_again_s)
            else:
                self.notifier.home_up(home, told)
                return

    async def _ask(self, home: str) -> list[tuple[int, Presence]]:
        """How the users of a home stand. A log that began another life may use versions again that it had lost."""
        uids = self.contacters.watched_at(home)
        told: list[tuple[int, Presence]] = []
        for start in range(0, len(uids), UIDS_PER_QUESTION):
            question = AskPresence(uids[start : start + UIDS_PER_QUESTION])
            answer = await ask(self.requests, home_key(home), question, ToldPresence, SNAPSHOT_TIMEOUT_S)
            if answer.life != self._lives.setdefault(home, answer.life):
                self._lives[home] = answer.life
                self.notifier.count_anew(home)
            told.extend((user.uid, Presence(user.version, user.status, user.since, user.note, user.name)) for user in answer.users)
        return told
