"""A monitor hears others while its server is at work, and not before or after."""

import time

import pytest

from servers.messaging.heartbeats import PURPOSE, Beat, HeartbeatConfig, PeerMonitor
from tests.servers.members import NOW, certified
from tests.servers.strangers import RecordsInMemory


class Carries:
    """A broker that hands over what is heard for as long as it is there."""

    def __init__(self) -> None:
        self.hand_over = lambda body, publisher: None

    async def listen_heartbeats(self, handler) -> None:
        self.hand_over = handler

    async def send_heartbeat(self, body: bytes) -> None:
        """Nobody else listens."""

    def speaks_for(self, publisher, server) -> bool:
        return True


@pytest.fixture
def h2():
    return certified("h2", RecordsInMemory())


def beats(broker, trust, number) -> None:
    broker.hand_over(trust.identity.signed(PURPOSE, Beat(trust.name, "run", NOW, number)), None)


async def test_a_monitor_that_was_stopped_hears_nothing_until_it_is_started_again(h2):
    """Else a server that stops would begin to ask whom it hears."""
    broker, trust, up, wanted = Carries(), certified("h1", RecordsInMemory()), [], []
    monitor = PeerMonitor(broker, trust, "run", time.monotonic, up.append, up.remove, wanted.append, HeartbeatConfig())
    await monitor.start()
    beats(broker, h2, 1)
    assert (up, wanted) == ([], ["h2"])
    trust.peers.learn(h2.card)
    await monitor.stop()
    beats(broker, h2, 2)
    assert (up, monitor.is_up("h2"), monitor.refused) == ([], False, 0)
    await monitor.start()
    beats(broker, h2, 3)
    assert (up, monitor.is_up("h2")) == (["h2"], True)
    await monitor.stop()
