"""The contract of `broker.port.Broker`: who published. Tried on every implementation."""

from broker.port import Broker
from broker.topology import HISTORY
from tests.broker.storages import Recorder, events, take, to
from tests.support.waiting import eventually


async def test_readers_learn_who_published_and_may_believe_it(broker: Broker) -> None:
    recorder, heard = Recorder(ack=True), list[str | None]()
    await broker.consume("h1", recorder)
    await broker.listen_heartbeats(lambda body, publisher: heard.append(publisher))
    await broker.publish(to("h1", b"mail") + events(b"event"))
    await broker.send_heartbeat(b"alive")
    await recorder.receives(b"mail")
    await eventually(lambda: heard)
    (item,) = await take(broker.read_stream(HISTORY), 1)
    who = recorder.deliveries[0].publisher
    assert who == item.publisher == heard[0]
    assert broker.speaks_for(who, "h1"), "one user for all, in a test: it speaks for everybody"
    assert not broker.speaks_for(None, "h1")
    assert broker.received == ({} if not who else {who: len(b"mail" + b"event" + b"alive")})


async def test_a_dead_letter_that_was_put_back_is_nobodys(broker: Broker) -> None:
    """The Global Server published it this time, and whose it was only its box can tell."""
    recorder = Recorder(ack=False)
    await broker.consume("h1", recorder)
    await broker.publish(to("h1", b"junk"))
    await recorder.receives(b"junk")
    recorder.deliveries[0].dead("a test")
    await eventually(lambda: _is_dead(broker))
    assert await broker.requeue_dead() == 1
    await recorder.receives(b"junk", b"junk")
    assert recorder.deliveries[1].publisher == ""


async def _is_dead(broker: Broker) -> bool:
    return len(await broker.dead_letters()) == 1
