"""The contract of `broker.port.Broker`: the inboxes. Rule: a guarantee of the port is a story, tried on every implementation.

The other guarantees are in the other files of this folder.
"""

import asyncio

import pytest

from broker.port import Broker, Outgoing
from broker.topology import DEAD, HOMES, QUEUE_HEADER, REASON_HEADER
from domain.errors import Unavailable
from tests.broker.storages import H1, Recorder, Storage, to
from tests.support.waiting import eventually


async def test_messages_arrive_in_the_order_they_were_published(broker: Broker) -> None:
    recorder = Recorder()
    await broker.consume("h1", recorder)
    await broker.publish(to("h1", b"1", b"2"))
    await asyncio.gather(*(broker.publish(to("h1", body)) for body in (b"3", b"4", b"5")))
    await recorder.receives(b"1", b"2", b"3", b"4", b"5")


async def test_each_server_gets_its_own(broker: Broker) -> None:
    first, second = Recorder(), Recorder()
    await broker.consume("h1", first)
    await broker.consume("h2", second)
    await broker.publish(to("h1", b"a") + to("h2", b"b") + to("h1", b"c"))
    await first.receives(b"a", b"c")
    await second.receives(b"b")


async def test_what_was_published_waits_for_a_consumer_even_over_a_restart(broker: Broker, storage: Storage) -> None:
    await broker.publish(to("h1", b"one", b"two"))
    await broker.close()
    again, recorder = storage.new(), Recorder()
    await again.consume("h1", recorder)  # before it is started
    await again.start()
    await recorder.receives(b"one", b"two")
    await again.close()


async def test_what_was_not_acked_comes_again_to_the_next_consumer(broker: Broker) -> None:
    recorder = Recorder(ack=False)
    consumer = await broker.consume("h1", recorder)
    await broker.publish(to("h1", b"1", b"2", b"3"))
    await recorder.receives(b"1", b"2", b"3")
    recorder.deliveries[0].ack()
    await consumer.cancel()
    recorder.deliveries[1].ack()  # too late: it comes again

    later = Recorder()
    await broker.consume("h1", later)
    await later.receives(b"2", b"3")


async def test_what_was_not_acked_comes_again_after_a_restart(broker: Broker, storage: Storage) -> None:
    recorder = Recorder(ack=False)
    await broker.consume("h1", recorder)
    await broker.publish(to("h1", b"1", b"2", b"3"))
    await recorder.receives(b"1", b"2", b"3")
    recorder.deliveries[1].ack()  # out of order
    await broker.close()

    again, later = storage.new(), Recorder()
    await again.start()
    await again.consume("h1", later)
    await later.receives(b"1", b"3")
    await again.close()


async def test_an_ack_is_final(broker: Broker, storage: Storage) -> None:
    recorder = Recorder()
    await broker.consume("h1", recorder)
    await broker.publish(to("h1", b"1", b"2"))
    await recorder.receives(b"1", b"2")
    await broker.close()

    again, later = storage.new(), Recorder()
    await again.start()
    await again.wait_connected(10)
    await again.consume("h1", later)
    await again.publish(to("h1", b"3"))
    await later.receives(b"3")
    await eventually(lambda: _empty(again))
    await again.close()


async def test_no_more_than_the_prefetch_is_in_the_consumers_hands(broker: Broker) -> None:
    recorder = Recorder(ack=False)
    await broker.consume("h1", recorder, prefetch=2)
    await broker.publish(to("h1", b"1", b"2", b"3"))
    await eventually(lambda: len(recorder.deliveries) == 2)
    await broker.publish(to("h1", b"4"))  # a round trip: had there been a third, it would have come
    assert recorder.bodies == [b"1", b"2"]
    assert (await broker.depths())[H1] == 4
    recorder.deliveries[0].ack()
    await recorder.receives(b"1", b"2", b"3")


async def test_a_second_consumer_stands_by_until_the_first_leaves(broker: Broker) -> None:
    first, second = Recorder(), Recorder()
    active = await broker.consume("h1", first)
    await broker.consume("h1", second)
    await broker.publish(to("h1", b"1", b"2"))
    await first.receives(b"1", b"2")
    assert second.bodies == []
    await active.cancel()
    await broker.publish(to("h1", b"3"))
    await second.receives(b"3")
    assert first.bodies == [b"1", b"2"]


async def test_a_dead_letter_carries_its_reason_and_the_rest_goes_on(broker: Broker, storage: Storage) -> None:
    recorder = Recorder(ack=False)
    consumer = await broker.consume("h1", recorder)
    await broker.publish(to("h1", b"good", b"\xffjunk", b"better"))
    await recorder.receives(b"good", b"\xffjunk", b"better")
    recorder.deliveries[1].dead("not an envelope")
    recorder.deliveries[0].ack()
    recorder.deliveries[2].ack()
    await eventually(lambda: _depth(broker, DEAD, 1))
    await consumer.cancel()
    assert (await broker.depths())[H1] == 0
    [(headers, body)] = await storage.dead_letters()
    assert body == b"\xffjunk"
    assert headers[REASON_HEADER] == "not an envelope"
    assert headers[QUEUE_HEADER] == H1


async def test_a_handler_that_raises_loses_nothing_and_stops_nothing(broker: Broker, storage: Storage) -> None:
    recorder = Recorder()

    def clumsy(delivery: object) -> None:
        if getattr(delivery, "body", b"") == b"bad":
            raise ZeroDivisionError
        recorder(delivery)  # type: ignore[arg-type]  # it is a Delivery

    await broker.consume("h1", clumsy)
    await broker.publish(to("h1", b"1", b"bad", b"2"))
    await recorder.receives(b"1", b"2")
    await eventually(lambda: _depth(broker, DEAD, 1))
    [(headers, body)] = await storage.dead_letters()
    assert (body, headers[REASON_HEADER]) == (b"bad", "the handler failed: ZeroDivisionError")


async def test_any_bytes_come_through_as_they_are(broker: Broker) -> None:
    recorder = Recorder()
    await broker.consume("h1", recorder)
    bodies = [b"", b"\x00", b"\xc1" * 10, b"x" * 131_064, b"y" * 131_065, b"z" * 1_000_000]  # around RabbitMQ's size of a frame
    await broker.publish(to("h1", *bodies))
    await recorder.receives(*bodies)


async def test_ten_thousand_messages_come_through_in_order(broker: Broker) -> None:
    recorder = Recorder()
    await broker.consume("h1", recorder)
    bodies = [b"%d" % number for number in range(10_000)]
    for start in range(0, len(bodies), 500):
        await broker.publish(to("h1", *bodies[start : start + 500]))
    await eventually(lambda: len(recorder.deliveries) >= len(bodies), timeout_s=30)
    assert recorder.bodies == bodies
    await eventually(lambda: _empty(broker))


async def test_a_backlog_comes_before_messages_that_are_published_meanwhile(broker: Broker) -> None:
    bodies = [b"%d" % number for number in range(3_000)]
    await broker.publish(to("h1", *bodies[:2_000]))
    recorder = Recorder()
    await broker.consume("h1", recorder, prefetch=10)
    for start in range(2_000, 3_000, 100):
        await broker.publish(to("h1", *bodies[start : start + 100]))
    await eventually(lambda: len(recorder.deliveries) >= len(bodies), timeout_s=30)
    assert recorder.bodies == bodies


async def test_to_publish_to_nobody_is_an_error_only_where_it_is_mandatory(broker: Broker) -> None:
    await broker.publish([Outgoing(HOMES, "nobody", b"x")])
    with pytest.raises(Unavailable, match="nobody"):
        await broker.publish(to("h1", b"x") + to("nobody", b"x"))
    await broker.publish(to("h1", b"the next one is not the worse for it"))


async def test_nothing_to_publish_is_done_at_once(broker: Broker) -> None:
    await broker.publish([])


async def _depth(broker: Broker, queue: str, depth: int) -> bool:
    return (await broker.depths())[queue] == depth


async def _empty(broker: Broker) -> bool:
    return await _depth(broker, H1, 0)
