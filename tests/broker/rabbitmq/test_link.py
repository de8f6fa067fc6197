"""Work beside a link ends with it. Rule: no RabbitMQ is needed, because the link is lost before it is used."""

import asyncio
import inspect

import pytest

from broker.rabbitmq.connection import new_connection
from broker.rabbitmq.link import DEFAULT, Link
from tests.support.waiting import eventually


@pytest.fixture
async def link():
    return Link(new_connection("amqp://h1:secret@127.0.0.1:9/flash", "h1"), "h1", "h1", DEFAULT)


async def test_work_that_never_began_is_closed_when_the_link_is_lost(link):
    """Else Python complains of a coroutine that nobody awaited."""
    begun = []

    async def tell() -> None:
        begun.append("it")

    work = tell()
    link.run(work)
    link.lose("it was cut")
    await eventually(lambda: inspect.getcoroutinestate(work) == inspect.CORO_CLOSED)
    assert not begun


async def test_work_that_fails_loses_the_link(link):
    async def fail() -> None:
        raise ConnectionResetError("it was cut")

    link.run(fail())
    assert "ConnectionResetError" in await asyncio.wait_for(asyncio.shield(link.lost), 5)
