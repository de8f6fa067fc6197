"""Fixtures of the broker's tests: a `place` of each kind, and a started `broker` in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.port import Broker
from tests.broker.places import EmbeddedPlace, Place, RabbitPlace
from tests.support.rabbitmq_choice import AnyRabbit


@pytest.fixture(params=["embedded", "rabbitmq"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of each kind."""
    if request.param == "embedded":
        return EmbeddedPlace(tmp_path / "broker.sqlite")
    rabbitmq: AnyRabbit = request.getfixturevalue("rabbitmq")
    rabbit = RabbitPlace(rabbitmq.new_vhost())
    if not rabbitmq.can_be_controlled:
        await rabbit.empty()
    return rabbit


@pytest.fixture
async def broker(place: Place) -> AsyncIterator[Broker]:
    """A connected broker that knows the inboxes of h1 and h2."""
    broker = place.new()
    await broker.start()
    await broker.wait_connected(10)
    await broker.declare_inbox("h1")
    await broker.declare_inbox("h2")
    yield broker
    await broker.close()
