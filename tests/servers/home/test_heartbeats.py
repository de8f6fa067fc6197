"""Which heartbeats count. Rule: the number in a run orders them, whatever the clocks do, and none counts twice."""

import pytest

from servers.messaging.heartbeats import GOOD_FOR_S, MOST_RUNS, PURPOSE, Beat
from servers.trust.trust import Trust
from tests.servers.homes import Town
from tests.support.waiting import eventually

SILENCE_S = 60.0  # longer than any patience with a silent server


class Hearing:
    """What h1 makes of heartbeats of h3, which a test signs with h3's key and plays as it likes."""

    def __init__(self, town: Town, h3: Trust) -> None:
        self.town, self.h3 = town, h3
        self.peers = town.homes["h1"].lifecycle.peers
        self.refused = 0

    def signed(self, run: str, number: int, ahead_s: float = 0.0) -> bytes:
        return self.h3.identity.signed(PURPOSE, Beat("h3", run, self.town.clock() + ahead_s, number))

    async def believes(self, beat: bytes) -> None:
        """h3 is up by this heartbeat, after a silence."""
        await self._falls_silent()
        await self.town.broker.send_heartbeat(beat)
        await eventually(lambda: self.peers.is_up("h3"))
        assert self.peers.refused == self.refused

    async def refuses(self, beat: bytes) -> None:
        await self._falls_silent()
        self.refused += 1
        await self.town.broker.send_heartbeat(beat)
        await eventually(lambda: self.peers.refused == self.refused)
        assert not self.peers.is_up("h3")

    async def _falls_silent(self) -> None:
        self.town.monotonic.now += SILENCE_S
        await eventually(lambda: not self.peers.is_up("h3"))


@pytest.fixture
def hearing(town: Town, liar: Trust) -> Hearing:
    return Hearing(town, liar)


async def test_a_server_whose_clock_is_put_back_is_heard_at_once(hearing: Hearing) -> None:
    await hearing.believes(hearing.signed("a", 1, ahead_s=50))
    await hearing.believes(hearing.signed("a", 2, ahead_s=-5))
    await hearing.believes(hearing.signed("a", 3, ahead_s=-3_600))
    await hearing.believes(hearing.signed("a", 4, ahead_s=3_600))


async def test_a_server_that_starts_again_with_its_clock_put_back_is_heard_at_once(hearing: Hearing) -> None:
    await hearing.believes(hearing.signed("a", 1, ahead_s=50))
    await hearing.believes(hearing.signed("b", 1))


async def test_no_heartbeat_counts_twice(hearing: Hearing) -> None:
    """Neither of the present run, nor of one before it, however the clock of the server that hears them is put back."""
    recorded = [hearing.signed("a", number) for number in (1, 2)]
    await hearing.believes(recorded[0])
    await hearing.believes(recorded[1])
    for beat in recorded:
        await hearing.refuses(beat)
    await hearing.believes(hearing.signed("b", 1))
    for beat in recorded:
        await hearing.refuses(beat)
    hearing.town.clock.now += 3_600
    await hearing.believes(hearing.signed("b", 2))
    hearing.town.clock.now -= 3_600
    for beat in recorded:
        await hearing.refuses(beat)


async def test_a_run_that_was_never_heard_must_be_of_now(hearing: Hearing) -> None:
    await hearing.refuses(hearing.signed("a", 1, ahead_s=-GOOD_FOR_S - 1))
    await hearing.refuses(hearing.signed("a", 1, ahead_s=GOOD_FOR_S + 1))
    await hearing.believes(hearing.signed("a", 1))


async def test_what_is_remembered_of_runs_is_bounded(hearing: Hearing) -> None:
    for number in range(MOST_RUNS + 5):
        await hearing.town.broker.send_heartbeat(hearing.signed(f"run {number}", 1))
    await hearing.town.broker.send_heartbeat(hearing.signed("run 5", 1))
    await eventually(lambda: hearing.peers.refused == 1)
    await hearing.town.broker.send_heartbeat(hearing.signed("run 4", 1))
    await hearing.town.broker.send_heartbeat(hearing.signed("run 104", 1))
    await eventually(lambda: hearing.peers.refused == 2)
