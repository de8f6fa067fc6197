"""A home is revoked while everybody is at work. Rule: the others hear it by mail of the Global Server, and of nobody else."""

import msgpack

from broker import topology
from broker.envelope import EventRecord
from broker.port import Outgoing
from domain.event import stored_fields
from domain.events.global_server import HomeRevoked
from servers.trust.trust import Trust
from tests.servers.homes import Town, shown
from tests.servers.members import mail_from
from tests.support.waiting import eventually

FAR = 2**40  # above every number that follows the time


async def revokes(town: Town, sender: Trust, home: str, told: str) -> None:
    """`sender` tells `told` that `home` is revoked."""
    event = HomeRevoked(at=town.clock(), cause="revoke", name=home, number=FAR, homes=["h1", "h2"])
    record = EventRecord(9, f"home-{home}", 4, event.TOPIC, event.at, msgpack.packb(stored_fields(event)))
    held = sender.peers.held
    assert held is not None
    body = mail_from(sender, told, [record], life=held.life or 1)
    await town.broker.publish([Outgoing(topology.HOMES, told, body, mandatory=True)])


async def test_nobody_hears_a_revoked_home(town: Town) -> None:
    """bob's popups from h2 arrived; after the revocation none does, and his home is as good as away. What h1 sends waits."""
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    _, window = await ann.opens()
    await ann.adds(bob)
    await bob.adds(ann)
    await bob.sends(ann, "before")
    await shown(window.texts, ["before"])
    h1 = town.homes["h1"].lifecycle
    await revokes(town, town.registry.trust, "h2", "h1")
    await eventually(lambda: h1.trust.peers.card("h2") is None)
    town.monotonic.now += 10  # its heartbeats are not heard any more
    await eventually(lambda: not h1.peers.is_up("h2"))
    unopened = h1.inbox.unopened
    await bob.sends(ann, "after")
    await eventually(lambda: h1.inbox.unopened > unopened)
    await ann.sends(bob, "are you there?")
    await eventually(lambda: "h2" in h1.outbox.receivers.behind)
    await town.homes["h1"].writer.submit(())
    assert window.texts() == ["before"]
    assert h1.cards.not_believed < 10, "whoever was revoked is not asked at each of its heartbeats, of which there were many more"
    await town.closes("h1")
    await town.opens("h1")
    assert town.homes["h1"].lifecycle.trust.peers.revoked("h2") == FAR, "it is believed after a restart"


async def test_no_home_revokes_another_one(town: Town) -> None:
    """h2 says to h1 that the Global Server has revoked it, in a good box of its own."""
    h1, h2 = (town.homes[name].lifecycle for name in ("h1", "h2"))
    for one, other in ((h1, h2), (h2, h1)):
        one.trust.peers.learn(other.trust.card)
    dead = h1.inbox.dead
    await revokes(town, h2.trust, "global", "h1")
    await eventually(lambda: h1.inbox.dead > dead)
    assert h1.trust.peers.all_revoked == {}
