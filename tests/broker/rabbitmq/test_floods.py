"""More requests than a server can answer at a time. Rule: they take a bounded share of its memory, and the first ones are answered."""

import asyncio

import pytest

from broker.answering import AnsweringConfig
from broker.rabbitmq.broker import RabbitBroker, RabbitConfig
from domain.errors import Unavailable
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually


async def test_requests_beyond_the_limit_get_no_answer(rabbitmq: AnyRabbit) -> None:
    broker, began, go_on = (
        RabbitBroker(rabbitmq.new_vhost(), "test", RabbitConfig(answering=AnsweringConfig(most_of_one=2))),
        list[bytes](),
        asyncio.Event(),
    )

    async def slow(body: bytes, asker: str = "") -> bytes:
        began.append(body)
        await go_on.wait()
        return body

    await broker.start()
    await broker.wait_connected(10)
    await broker.serve("home.slow", slow)
    first = [asyncio.create_task(broker.request("home.slow", b"%d" % number, 30)) for number in range(2)]
    await eventually(lambda: len(began) == 2)
    with pytest.raises(Unavailable, match="in time"):
        await broker.request("home.slow", b"one too many", 0.5)
    go_on.set()
    assert await asyncio.gather(*first) == [b"0", b"1"]
    assert await broker.request("home.slow", b"later", 30) == b"later"
    assert began == [b"0", b"1", b"later"]
    await broker.close()
