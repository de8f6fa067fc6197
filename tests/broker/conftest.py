"""Fixtures of the broker's tests: a `storage` of each kind, and a started `broker` in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.port import Broker
from tests.broker.storages import EmbeddedStorage, RabbitStorage, Storage
from tests.support.rabbitmq_choice import AnyRabbit


@pytest.fixture(params=["embedded", "rabbitmq"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty storage of each kind."""
    if request.param == "embedded":
        return EmbeddedStorage(tmp_path / "broker.sqlite")
    rabbitmq: AnyRabbit = request.getfixturevalue("rabbitmq")
    rabbit = RabbitStorage(rabbitmq.new_vhost())
    if not rabbitmq.can_be_controlled:
        await rabbit.empty()
    return rabbit


@pytest.fixture
async def broker(storage: Storage) -> AsyncIterator[Broker]:
    """A connected broker that knows the inboxes of h1 and h2."""
    broker = storage.new()
    await broker.start()
    await broker.wait_connected(10)
    await broker.declare_inbox("h1")
    await broker.declare_inbox("h2")
    yield broker
    await broker.close()
