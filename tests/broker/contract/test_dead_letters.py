"""The contract of `broker.port.Broker`: dead letters. Rule: as in `test_inboxes.py`, each story is tried on every implementation."""

import time

import pytest
from aiormq.abc import AbstractChannel
from aiormq.channel import Channel

from broker.port import Broker, Outgoing
from broker.rabbitmq.broker import RabbitBroker
from broker.topology import DEAD, HOMES
from domain.errors import Unavailable
from tests.broker.storages import H1, RabbitStorage, Recorder, Storage, to
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

H2 = "flash.home.h2"


async def bury(broker: Broker, server: str, *bodies: bytes, reason: str = "not an envelope") -> None:
    """Let messages of a server die, one after the other."""
    before = (await broker.depths())[DEAD]
    recorder = Recorder(ack=False)
    consumer = await broker.consume(server, recorder)
    await broker.publish(to(server, *bodies))
    await recorder.receives(*bodies)
    for delivery in recorder.deliveries:
        delivery.dead(reason)
    await eventually(lambda: _depth(broker, DEAD, before + len(bodies)))
    await consumer.cancel()


async def test_dead_letters_can_be_looked_at_and_stay(broker: Broker) -> None:
    began = time.time()
    await bury(broker, "h1", b"\xffone", b"two")
    await bury(broker, "h2", b"three", reason="<b>odd</b>")
    letters = await broker.dead_letters()
    assert [(letter.queue, letter.reason, letter.body) for letter in letters] == [
        (H1, "not an envelope", b"\xffone"),
        (H1, "not an envelope", b"two"),
        (H2, "<b>odd</b>", b"three"),
    ]
    assert all(began - 1 <= (letter.at or 0) <= time.time() + 1 for letter in letters)
    assert len({letter.id for letter in letters}) == 3
    for _ in range(25):  # RabbitMQ 4 would have dropped them by now, had the queue no limit of its own
        assert await broker.dead_letters() == letters
    await eventually(lambda: _depth(broker, DEAD, 3))


async def test_where_nothing_died_there_is_nothing_to_see(broker: Broker) -> None:
    assert await broker.dead_letters() == []
    assert await broker.requeue_dead() == 0
    assert await broker.drop_dead(["unknown"]) == 0


async def test_one_letter_goes_back_to_the_queue_it_came_from(broker: Broker) -> None:
    await bury(broker, "h1", b"mine", b"other")
    await bury(broker, "h2", b"far")
    wanted = (await broker.dead_letters())[2]
    assert await broker.requeue_dead([wanted.id]) == 1
    assert [letter.body for letter in await broker.dead_letters()] == [b"mine", b"other"]
    first, second = Recorder(), Recorder()
    await broker.consume("h1", first)
    await broker.consume("h2", second)
    await second.receives(b"far")
    assert dict(second.deliveries[0].headers) == {"flash-returned": 1}, "as it was before it died, but for the word that it did"
    await broker.publish(to("h1", b"next"))
    await first.receives(b"next")


async def test_all_dead_letters_go_back_in_their_order_behind_waiting_messages(broker: Broker) -> None:
    await bury(broker, "h1", b"1", b"2", b"3")
    await bury(broker, "h2", b"4")
    await broker.publish(to("h1", b"waiting"))
    assert await broker.requeue_dead() == 4
    first, second = Recorder(), Recorder()
    await broker.consume("h1", first)
    await broker.consume("h2", second)
    await first.receives(b"waiting", b"1", b"2", b"3")
    await second.receives(b"4")
    await eventually(lambda: _depth(broker, DEAD, 0))


async def test_a_letter_may_die_again_and_go_back_again(broker: Broker) -> None:
    recorder = Recorder(ack=False)
    await broker.consume("h1", recorder)
    await broker.publish(to("h1", b"stubborn"))
    for life in range(1, 4):
        await eventually(lambda: len(recorder.deliveries) == life)  # noqa: B023  # awaited in this turn
        recorder.deliveries[-1].dead(f"life {life}")
        await eventually(lambda: _depth(broker, DEAD, 1))
        assert [letter.reason for letter in await broker.dead_letters()] == [f"life {life}"]
        assert await broker.requeue_dead() == 1
    await eventually(lambda: len(recorder.deliveries) == 4)
    assert dict(recorder.deliveries[-1].headers) == {"flash-returned": 1}


async def test_a_dropped_letter_is_gone_and_the_others_stay(broker: Broker, storage: Storage) -> None:
    await bury(broker, "h1", b"keep", b"drop")
    unwanted = (await broker.dead_letters())[1]
    assert await broker.drop_dead([unwanted.id]) == 1
    assert await broker.drop_dead([unwanted.id]) == 0
    await broker.close()
    again = storage.new()
    await again.start()
    await again.wait_connected(10)
    assert [letter.body for letter in await again.dead_letters()] == [b"keep"]
    await again.close()


async def test_a_requeued_letter_survives_a_restart_in_its_queue(broker: Broker, storage: Storage) -> None:
    await bury(broker, "h1", b"again")
    assert await broker.requeue_dead() == 1
    await broker.close()
    later, recorder = storage.new(), Recorder()
    await later.start()
    await later.wait_connected(10)
    await later.consume("h1", recorder)
    await recorder.receives(b"again")
    assert await later.dead_letters() == []
    await later.close()


async def test_a_letter_that_came_from_no_inbox_stays_and_stops_no_other(broker: Broker) -> None:
    await broker.publish([Outgoing(DEAD, "", b"from nowhere")])
    [letter] = await broker.dead_letters()
    assert (letter.queue, letter.reason, letter.at) == ("", "", None)
    await bury(broker, "h1", b"from an inbox")
    assert await broker.requeue_dead() == 1
    with pytest.raises(Unavailable):
        await broker.requeue_dead([letter.id])
    assert await broker.dead_letters() == [letter]
    await broker.publish([Outgoing(HOMES, "h1", b"the next one is not the worse for it", mandatory=True)])


async def test_a_letter_that_is_in_its_queue_and_not_yet_out_of_the_other_is_in_both(
    rabbitmq: AnyRabbit, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = rabbitmq.new_vhost()
    await RabbitStorage(url).empty()
    broker = RabbitBroker(url, "test")
    await broker.start()
    await broker.wait_connected(10)
    await broker.declare_inbox("h1")
    await bury(broker, "h1", b"twice")

    async def cut(channel: AbstractChannel, tag: int, *, multiple: bool = False) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(Channel, "basic_ack", cut)
        with pytest.raises(Unavailable):
            await broker.requeue_dead()
    recorder = Recorder()
    await broker.consume("h1", recorder)
    await recorder.receives(b"twice")
    assert [letter.body for letter in await broker.dead_letters()] == [b"twice"]
    await broker.close()


async def test_nothing_can_be_seen_of_a_broker_that_is_closed(broker: Broker) -> None:
    await broker.close()
    for call in (broker.dead_letters(), broker.requeue_dead(), broker.drop_dead(["x"])):
        with pytest.raises(Unavailable):
            await call


async def _depth(broker: Broker, queue: str, depth: int) -> bool:
    return (await broker.depths())[queue] == depth
