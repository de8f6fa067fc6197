"""A home, and what its windows are shown of another home's users. Rule: whatever is lost, comes late or is left out, in the end every
window shows how they stand."""

import asyncio
import random
from collections.abc import Callable

import pytest
from msgspec import json, msgpack

from domain.errors import Unavailable
from domain.events.home import ContactAdded, ContacterAdded, LoggedIn, LoggedOff, PresenceEvent, StatusChanged
from projections.by_server import HomeProjections
from projections.server.presence import NEVER, PresenceIndex
from servers.home.peer_presence import PeerPresence
from servers.messaging.heartbeats import PURPOSE, Beat, HeartbeatConfig, PeerMonitor
from servers.messaging.questions import AskPresence, ToldPresence, UserPresence
from servers.sessions.notifier import SessionNotifier
from tests.servers.members import NOW, certified
from tests.servers.strangers import RecordsInMemory

BOB = 2  # at h2, with a window or more
WATCHED = (101, 102, 103)  # at h1
STEPS = 60
CONFIG = HeartbeatConfig()


class Window:
    """What a session showed at first, and what it was told since."""

    welcome = None

    def __init__(self, shown: dict[int, str]) -> None:
        self.shown = shown

    def tell_presence(self, entries) -> None:
        for entry in entries:
            self.shown[entry.uid] = json.decode(entry.view)["status"]


class Windows(list):
    """The sessions of bob."""

    def of(self, uid: int) -> list[Window]:
        return self if uid == BOB else []


class OtherHome:
    """h1: its users, its heartbeats, and its mail, which arrives in order."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.trust = certified("h1", RecordsInMemory())
        self.users = PresenceIndex()
        self.versions = dict.fromkeys(WATCHED, 0)
        self.mail: list[PresenceEvent | ContacterAdded] = []
        self.life, self.run, self.number = 1, 1, 0

    def moves(self) -> None:
        """One of its users logs in or off, or chooses another status."""
        uid = self.chance.choice(WATCHED)
        before = self.users.users.get(uid, NEVER).status
        now = self.chance.choice(["online", "offline", "away"])
        self.versions[uid] += 1
        head = {"originator_id": f"user-{uid}", "originator_version": self.versions[uid], "at": NOW + self.users.position, "cause": "c",
                "handle": "ann", "status": now, "previous": before, "note": ""}  # fmt: skip
        if now == "offline":
            event = LoggedOff(session="s", reason="logoff", **head)
        elif now == "away":
            event = StatusChanged(chosen=now, until=None, **head)
        else:
            event = LoggedIn(session="s", name="Ann", client="c", **head)
        self.users.apply(self.users.position + 1, event)
        self.mail.append(event)

    def is_watched(self) -> None:
        """It answers one of ours who watches one of its users."""
        uid = self.chance.choice(WATCHED)
        known = self.users.users.get(uid, NEVER)
        self.versions[uid] += 1
        self.mail.append(
            ContacterAdded(originator_id=f"user-{uid}", originator_version=self.versions[uid], at=NOW, cause="c", uid=BOB, home="h2",
                           name="Ann", status=known.status, since=known.since, note="")
        )  # fmt: skip

    def heartbeat(self) -> bytes:
        self.number += 1
        return self.trust.identity.signed(PURPOSE, Beat("h1", f"run {self.run:04}", NOW, self.number))

    def answer(self, body: bytes) -> bytes:
        question = msgpack.decode(body, type=AskPresence)
        return msgpack.encode(ToldPresence([UserPresence(uid, *self.users.users.get(uid, NEVER)) for uid in question.uids], self.life))


class House:
    """h2, which hears h1 through a broker that loses questions."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.now = chance, 1_000.0
        self.h1 = OtherHome(chance)
        self.windows = Windows()
        self.asked: list[tuple[bytes, bytes, asyncio.Future[bytes]]] = []  # what is asked, and the answer that is on its way
        self.hand_over: Callable[[bytes, str | None], None] = lambda body, publisher: None
        trust = certified("h2", RecordsInMemory())
        trust.peers.learn(self.h1.trust.card)
        self.peers = PeerMonitor(self, trust, "run", lambda: self.now, self._up, self._down, lambda name: None, CONFIG)  # type: ignore[arg-type]
        projections = HomeProjections()
        self.notifier = SessionNotifier("h2", self.windows, projections, self.peers, lambda uid: None)  # type: ignore[arg-type]
        self.presence = PeerPresence(self, self.peers, projections.contacters, self.notifier, lambda: None, ask_again_s=0)  # type: ignore[arg-type]
        for number, uid in enumerate(WATCHED, 1):
            added = ContactAdded(originator_id=f"user-{BOB}", originator_version=number, at=NOW, cause="c", uid=uid, handle="ann",
                                 name="Ann", home="h1", alias=None, notify=False)  # fmt: skip
            projections.contacters.apply(number, added)

    def _up(self, name: str) -> None:
        self.presence.came_up(name)

    def _down(self, name: str) -> None:
        self.notifier.home_down(name)

    async def listen_heartbeats(self, handler) -> None:
        self.hand_over = handler

    async def send_heartbeat(self, body: bytes) -> None:
        """Nobody else listens."""

    def speaks_for(self, publisher, server) -> bool:
        return True

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        """An answer that h1 gives at once may be long on its way, and arrive when h1 has started again."""
        told = asyncio.get_running_loop().create_future()
        self.asked.append((body, self.h1.answer(body) if self.chance.random() < 0.4 else b"", told))
        return await told

    def opens(self) -> None:
        self.windows.append(Window({uid: self.notifier.shown(uid, "h1").status for uid in WATCHED}))

    def hears(self) -> None:
        self.hand_over(self.h1.heartbeat(), None)

    def time_passes(self) -> None:
        self.now += self.chance.uniform(0, CONFIG.down_after_s / 2)
        self.peers.check()

    def silence(self) -> None:
        self.now += CONFIG.down_after_s + 1
        self.peers.check()

    def restarts(self) -> None:
        """It answers nothing that it was asked before."""
        self.h1.run, self.h1.number = self.h1.run + 1, 0
        waiting = [asked for asked in self.asked if not asked[1]]
        self.asked = [asked for asked in self.asked if asked[1]]
        for _, _, told in waiting:
            told.set_exception(Unavailable("no answer"))

    def goes_back(self) -> None:
        """It lost the end of its log, and starts again."""
        self.restarts()
        self.h1.life += 1
        self.h1.mail.clear()
        for uid in self.h1.users.users:
            self.h1.versions[uid] = 1
            self.h1.users.users[uid] = self.h1.users.users[uid]._replace(version=1, status="offline")

    def delivers(self) -> None:
        if self.h1.mail:
            self.notifier.heard(self.h1.mail.pop(0), "h1")

    def answers(self) -> None:
        if self.asked:
            body, answer, told = self.asked.pop(0)
            told.set_result(answer or self.h1.answer(body))

    def loses(self) -> None:
        if self.asked:
            self.asked.pop(0)[2].set_exception(Unavailable("no answer"))

    def garbles(self) -> None:
        if self.asked:
            self.asked.pop(0)[2].set_result(b"\xc1")

    async def turns(self) -> None:
        """Until those that run wait for an answer."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def comes_to_rest(self) -> None:
        """Nothing happens at h1 any more, and nothing is lost."""
        while self.h1.mail:
            self.delivers()
        for _ in range(10):
            self.now += CONFIG.beat_s
            self.hears()
            self.peers.check()
            await self.turns()
            while self.asked:
                self.answers()
                await self.turns()


@pytest.mark.parametrize("seed", range(200))
async def test_in_the_end_every_window_shows_how_the_users_of_another_home_stand(seed: int) -> None:
    chance = random.Random(seed)
    house = House(chance)
    await house.peers.start()
    house.opens()
    steps = [house.hears, house.time_passes, house.silence, house.restarts, house.goes_back, house.h1.moves, house.h1.is_watched,
             house.delivers, house.answers, house.loses, house.garbles, house.opens]  # fmt: skip
    weights = [8, 4, 2, 2, 1, 8, 2, 8, 6, 2, 1, 1]
    taken = []
    for step in chance.choices(steps, weights, k=STEPS):
        taken.append(step.__name__)
        step()
        if chance.random() < 0.8:
            await house.turns()
    await house.comes_to_rest()
    true = {uid: house.h1.users.users.get(uid, NEVER).status for uid in WATCHED}
    assert [window.shown for window in house.windows] == [true] * len(house.windows), taken
    await house.presence.stop()
    await house.peers.stop()
