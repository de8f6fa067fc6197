"""RabbitMQ comes and goes: resets, restarts, crashes, hangs. Rule: what was confirmed is delivered, at least once, first in order."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from broker.port import NotTaken, Outgoing
from broker.rabbitmq.broker import RabbitBroker, RabbitConfig
from broker.rabbitmq.connection import new_connection
from broker.rabbitmq.link import LATE, Link, LinkConfig
from broker.topology import EVENTS, HISTORY, HOMES, inbox
from domain.errors import Unavailable
from tests.broker.storages import Recorder
from tests.support.rabbitmq_choice import URL_VARIABLE, AnyRabbit
from tests.support.waiting import eventually


@pytest.fixture
async def rabbit(rabbitmq: AnyRabbit) -> AsyncIterator[AnyRabbit]:
    """A RabbitMQ that the test may stop; it runs again afterwards."""
    if not rabbitmq.can_be_controlled:
        pytest.skip(f"the broker of {URL_VARIABLE} is not ours to stop")
    yield rabbitmq
    await asyncio.to_thread(rabbitmq.resume)
    await asyncio.to_thread(rabbitmq.start)


@pytest.fixture
async def broker(rabbit: AnyRabbit) -> AsyncIterator[RabbitBroker]:
    """A connected broker. A heartbeat of a second: a hang is noticed in 3 s instead of 20."""
    broker = RabbitBroker(rabbit.new_vhost() + "?heartbeat=1", "test")
    await broker.start()
    await broker.wait_connected(10)
    await broker.declare_inbox("h1")
    yield broker
    await broker.close()


def to_h1(*bodies: bytes) -> list[Outgoing]:
    return [Outgoing(HOMES, "h1", body, mandatory=True) for body in bodies]


async def publish_surely(broker: RabbitBroker, outgoing: list[Outgoing]) -> None:
    """Publish again and again until the broker confirms, as the outbox does."""
    while True:
        try:
            return await broker.publish(outgoing)
        except Unavailable:
            await broker.wait_connected(60)


def first_appearances(bodies: list[bytes]) -> list[bytes]:
    return list(dict.fromkeys(bodies))


async def test_after_a_reset_everything_is_there_again(broker: RabbitBroker, rabbit: AnyRabbit) -> None:
    async def echo(body: bytes, asker: str = "") -> bytes:
        return body

    recorder, heartbeats, read = Recorder(ack=False), list[bytes](), list[bytes]()
    await broker.consume("h1", recorder)
    await broker.serve("home.echo", echo)
    await broker.listen_heartbeats(lambda body, publisher: heartbeats.append(body))

    items = broker.read_stream(HISTORY, "next")

    async def follow() -> None:
        async for item in items:
            read.append(item.body)

    following = asyncio.create_task(follow())
    for turn in range(3):
        event = [Outgoing(EVENTS, "h1.1", b"event %d" % turn)]
        await publish_surely(broker, to_h1(b"message %d" % turn) + event)
        await eventually(lambda wanted=turn: len(first_appearances(recorder.bodies)) > wanted)  # type: ignore[misc]
        assert await broker.request("home.echo", b"%d" % turn, 10) == b"%d" % turn
        await broker.send_heartbeat(b"%d" % turn)
        await eventually(lambda wanted=turn: heartbeats[-1:] == [b"%d" % wanted])  # type: ignore[misc]
        await asyncio.to_thread(rabbit.reset_connections)
        await broker.wait_connected(30)
    await eventually(lambda: read == [b"event 0", b"event 1", b"event 2"])
    await eventually(lambda: recorder.bodies[-3:] == [b"message 0", b"message 1", b"message 2"])  # unacked: all came again
    following.cancel()


async def test_a_delivery_of_an_old_connection_cannot_be_acked(broker: RabbitBroker, rabbit: AnyRabbit) -> None:
    recorder = Recorder(ack=False)
    await broker.consume("h1", recorder)
    await broker.publish(to_h1(b"1", b"2"))
    await recorder.receives(b"1", b"2")
    old = tuple(recorder.deliveries)
    await asyncio.to_thread(rabbit.reset_connections)
    await eventually(lambda: broker.connected and recorder.bodies == [b"1", b"2", b"1", b"2"])
    old[0].ack()
    old[1].dead("too late")
    assert broker.connected
    assert await broker.depths() == {"flash.dead": 0, "flash.home.h1": 2}
    recorder.deliveries[2].ack()
    recorder.deliveries[3].ack()
    await eventually(lambda: _depth_is(broker, 0))


async def test_a_stopped_broker_is_noticed_at_once_and_used_again_when_it_is_back(broker: RabbitBroker, rabbit: AnyRabbit) -> None:
    recorder = Recorder()
    await broker.consume("h1", recorder)
    await broker.publish(to_h1(b"before"))
    await asyncio.to_thread(rabbit.stop)
    await eventually(lambda: not broker.connected, timeout_s=1)
    with pytest.raises(Unavailable):
        await broker.publish(to_h1(b"lost"))
    await broker.send_heartbeat(b"nobody")
    await asyncio.to_thread(rabbit.start)
    await broker.wait_connected(30)
    await broker.publish(to_h1(b"after"))
    await eventually(lambda: first_appearances(recorder.bodies) == [b"before", b"after"])


async def test_a_server_may_start_before_its_broker(rabbit: AnyRabbit) -> None:
    url = rabbit.new_vhost()
    await asyncio.to_thread(rabbit.stop)
    broker, recorder = RabbitBroker(url, "early"), Recorder()
    await broker.start()
    await broker.consume("h1", recorder)
    with pytest.raises(Unavailable):
        await broker.wait_connected(0.5)
    await asyncio.to_thread(rabbit.start)
    await broker.wait_connected(30)
    await broker.publish(to_h1(b"hello"))
    await recorder.receives(b"hello")
    await broker.close()


async def test_nothing_confirmed_is_lost_when_the_broker_is_killed_under_load(broker: RabbitBroker, rabbit: AnyRabbit) -> None:
    recorder, confirmed = Recorder(), list[bytes]()
    await broker.consume("h1", recorder, prefetch=50)
    killed = asyncio.Event()
    # RabbitMQ writes down a moment after it was made that a queue exists. One that is killed in this moment loses the queue.
    await asyncio.to_thread(rabbit.ctl, "eval", "[dets:sync(Table) || Table <- dets:all()].")

    async def publish() -> None:
        number = 0
        while not killed.is_set() or number % 1000:
            batch = [b"%d" % each for each in range(number, number + 20)]
            await publish_surely(broker, to_h1(*batch) + [Outgoing(EVENTS, "h1.20", body) for body in batch])
            confirmed.extend(batch)
            number += 20

    publishing = asyncio.create_task(publish())
    for crash in (1, 2):
        await eventually(lambda wanted=crash: len(recorder.deliveries) > 500 * wanted, timeout_s=30)  # type: ignore[misc]
        await asyncio.to_thread(rabbit.kill)
        await eventually(lambda: not broker.connected, timeout_s=5)
        await asyncio.to_thread(rabbit.start)
        await broker.wait_connected(30)
    killed.set()
    await publishing
    await eventually(lambda: len(set(recorder.bodies)) == len(confirmed), timeout_s=30)
    assert first_appearances(recorder.bodies) == confirmed
    async with asyncio.timeout(30):
        history = [item.body async for item in broker.read_stream(HISTORY, follow=False)]
    assert first_appearances(history) == confirmed


async def test_a_hung_broker_is_noticed_by_its_silence(broker: RabbitBroker, rabbit: AnyRabbit) -> None:
    await asyncio.to_thread(rabbit.pause)
    publishing = asyncio.ensure_future(broker.publish(to_h1(b"into the void")))
    with pytest.raises(Unavailable):
        async with asyncio.timeout(10):
            await publishing
    assert not broker.connected
    await asyncio.to_thread(rabbit.resume)
    await broker.wait_connected(30)
    recorder = Recorder()
    await broker.consume("h1", recorder)
    await broker.publish(to_h1(b"again"))
    await eventually(lambda: b"again" in recorder.bodies)


async def _depth_is(broker: RabbitBroker, depth: int) -> bool:
    return (await broker.depths())["flash.home.h1"] == depth


async def test_a_broker_closes_although_its_cancellation_got_lost() -> None:
    """As when a link is given up in the moment in which it is lost: aiormq raises the loss instead."""
    opening = asyncio.Event()

    async def lost_meanwhile(*_: object) -> Link:
        if opening.is_set():
            await asyncio.Event().wait()
        opening.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Unavailable("the connection to the broker was lost") from None
        raise AssertionError("nobody cancelled it")

    broker = RabbitBroker("amqp://nobody", "test", RabbitConfig(cancel_again_s=0.1), lost_meanwhile)
    await broker.start()
    await opening.wait()
    await asyncio.wait_for(broker.close(), 5.0)


async def test_a_queue_with_other_arguments_keeps_nobody_from_connecting_and_is_left_as_it_is(rabbit: AnyRabbit) -> None:
    """The Global Server looks after the queues of all homes: one of them, made by hand with a limit, may not cost it the broker."""
    amqp = rabbit.new_vhost()
    operator = new_connection(amqp)
    await operator.connect()
    channel = await operator.channel()
    limit = {**inbox("h2").arguments, "x-max-length": 1, "x-overflow": "reject-publish"}
    await channel.declare_queue(inbox("h2").name, durable=True, arguments=limit)
    broker = RabbitBroker(amqp, "global", RabbitConfig(tend_s=0.05))
    await broker.declare_inbox("h1")
    await broker.declare_inbox("h2")
    with capture_logs() as logs:
        await broker.start()
        await broker.wait_connected(20)
        assert await _takes(broker, "h1")

        async def refuses() -> bool:  # a quorum queue takes a few more before it does
            return not await _takes(broker, "h2")

        await eventually(refuses, 20)
        await channel.queue_delete(inbox("h1").name)
        await eventually(lambda: _takes(broker, "h1"), 20)
    assert not [line for line in logs if line["event"] in ("broker.lost", "broker.connect_failed")]
    await operator.close()
    await broker.close()


async def test_a_link_on_which_one_queue_never_confirms_is_given_up_while_others_confirm(rabbit: AnyRabbit) -> None:
    """As after the death of the node that led the queue: RabbitMQ forgets what it had sent there, and what follows on that channel."""
    amqp = rabbit.new_vhost()
    broker = RabbitBroker(amqp, "test", RabbitConfig(link=LinkConfig(late_timeout_s=1.0, look_s=0.05)))
    await broker.start()
    await broker.wait_connected(20)
    await broker.declare_inbox("h1")
    await broker.declare_inbox("h2")
    await broker.publish([*to_h1(b"first"), Outgoing(HOMES, "h2", b"first", mandatory=True)])
    vhost = amqp.rpartition("/")[2]
    led = f"{{'{vhost}_{inbox('h2').name}', node()}}"
    await asyncio.to_thread(rabbit.ctl, "eval", f"ra:stop_server(quorum_queues, {led}).")
    late = asyncio.ensure_future(broker.publish([Outgoing(HOMES, "h2", b"late", mandatory=True)]))

    async def is_given_up() -> bool:
        await publish_surely(broker, to_h1(b"others"))
        return late.done()

    with capture_logs() as logs:
        await eventually(is_given_up, 20)
    assert isinstance(late.exception(), Unavailable)
    assert [line["reason"] for line in logs if line["event"] == "broker.lost"] == [LATE]
    await asyncio.to_thread(rabbit.ctl, "eval", f"ra:restart_server(quorum_queues, {led}).")
    await asyncio.wait_for(publish_surely(broker, [Outgoing(HOMES, "h2", b"late", mandatory=True)]), 20)
    await broker.close()


async def _takes(broker: RabbitBroker, server: str) -> bool:
    try:
        await broker.publish([Outgoing(HOMES, server, b"mail", mandatory=True)])
    except NotTaken:
        return False
    return True
