"""The contract of `broker.port.Broker`: requests, heartbeats, and a broker that is away. Tried on every implementation."""

import asyncio
import time

import pytest
import structlog

from broker.port import Broker
from broker.topology import HISTORY
from domain.errors import Unavailable
from tests.broker.storages import Recorder, Storage, echo, events, take, to
from tests.support.waiting import eventually


async def test_while_the_broker_is_away_publishing_fails_at_once_and_the_rest_waits(storage: Storage) -> None:
    broker, recorder, heartbeats = storage.new(), Recorder(), list[bytes]()
    began = time.monotonic()
    assert not broker.connected
    with pytest.raises(Unavailable):
        broker.publish(to("h1", b"x"))
    for call in (broker.request("home.of", b"", 10), broker.depths(), broker.wait_connected(0.01)):
        with pytest.raises(Unavailable):
            await call
    await broker.declare_inbox("h2")
    await broker.consume("h1", recorder)
    await broker.serve("home.echo", echo)
    await broker.listen_heartbeats(lambda body, publisher: heartbeats.append(body))
    await broker.send_heartbeat(b"nobody hears this")
    following = broker.read_stream(HISTORY)
    assert time.monotonic() - began < 2

    await broker.start()
    await broker.wait_connected(10)
    assert broker.connected
    await broker.publish(to("h1", b"now") + to("h2", b"kept") + events(b"event"))
    await recorder.receives(b"now")
    assert await broker.request("home.echo", b"!", 10) == b"!"
    await broker.send_heartbeat(b"here")
    await eventually(lambda: heartbeats == [b"here"])
    assert [item.body for item in await take(following, 1)] == [b"event"]
    await broker.close()


async def test_after_close_everything_is_unavailable(broker: Broker) -> None:
    asked = asyncio.Event()

    async def slow(body: bytes, asker: str = "") -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return body

    await broker.serve("home.slow", slow)
    following = asyncio.ensure_future(take(broker.read_stream(HISTORY), 1))
    pending = asyncio.create_task(broker.request("home.slow", b"", 30))
    await asked.wait()
    await broker.close()
    assert not broker.connected
    with pytest.raises(Unavailable):
        await pending
    with pytest.raises(Unavailable):
        await following
    with pytest.raises(Unavailable):
        await broker.publish(to("h1", b"x"))


async def test_a_request_is_answered_by_the_server_that_serves_its_key(broker: Broker) -> None:
    await broker.serve("home.echo", echo)
    answers = await asyncio.gather(*(broker.request("home.echo", b"%d" % number, 10) for number in range(50)))
    assert answers == [b"%d" % number for number in range(50)]


async def test_a_request_that_nobody_serves_fails_at_once(broker: Broker) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await broker.request("home.nobody", b"", 60)


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError("x"), ("error", "broker.request_failed")), (Unavailable("x"), ("info", "broker.request_unanswered"))]
)
async def test_a_request_that_is_not_answered_fails_in_time(broker: Broker, error: Exception, said: tuple[str, str]) -> None:
    async def raises(body: bytes, asker: str = "") -> bytes:
        raise error

    await broker.serve("home.raises", raises)
    with structlog.testing.capture_logs() as logs, pytest.raises(Unavailable):
        await broker.request("home.raises", b"", 0.2)
    assert [(line["log_level"], line["event"]) for line in logs if line.get("key") == "home.raises"] == [said]


async def test_a_heartbeat_reaches_every_listener(broker: Broker) -> None:
    first, second = list[bytes](), list[bytes]()
    await broker.listen_heartbeats(lambda body, publisher: first.append(body))
    await broker.listen_heartbeats(lambda body, publisher: second.append(body))
    await broker.send_heartbeat(b"h1 lives")
    await eventually(lambda: first == second == [b"h1 lives"])
