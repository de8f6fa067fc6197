"""An installation on each kind of database, people for each test, and seeded chance. Rule: `FLASH_TEST_SEED` plays a failure again.

Every test leaves a running installation behind; what one test broke is mended before the next begins.
"""

import os
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.faults.checker import Ledger
from tests.faults.installation import Installation
from tests.faults.people import Crowd
from tests.support import telling
from tests.support.postgres import AnyPostgres, PrivatePostgres
from tests.support.rabbitmq import PrivateRabbit
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import wait_until

SEED = int(os.environ["FLASH_TEST_SEED"])
RECONNECTED_S = 45.0  # five seconds is the longest pause, a broker just restarted on two busy cores needs the rest


@pytest.fixture(scope="session")
def rabbit(rabbitmq: AnyRabbit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyRabbit]:
    """A RabbitMQ that may be killed: the session's own, unless somebody else owns that one."""
    if rabbitmq.can_be_controlled:
        yield rabbitmq
        return
    own = PrivateRabbit(tmp_path_factory.mktemp("own-rabbitmq"))
    try:
        own.start()
        yield own
    finally:
        own.close()


@pytest.fixture(scope="session")
def database(postgres: AnyPostgres) -> Iterator[AnyPostgres]:
    """A PostgreSQL that may be killed: the session's own, unless somebody else owns that one."""
    if postgres.can_be_controlled:
        yield postgres
        return
    own = PrivatePostgres()
    try:
        own.start()
        yield own
    finally:
        own.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> str:
    """Where the servers keep their events: files of their own, or one PostgreSQL for all."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def standing(
    request: pytest.FixtureRequest, rabbit: AnyRabbit, store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """One installation for all tests on one kind of database: what a test did to it is history for the next one."""
    environment = {"FLASH_STORE_URL": request.getfixturevalue("database").new_database()} if store == "postgresql" else {}
    installation = Installation(tmp_path_factory.mktemp(f"flash-{store}"), rabbit.new_vhost(), environment)
    try:
        installation.start()
        yield installation
    finally:
        installation.kill()


@pytest.fixture
def installation(request: pytest.FixtureRequest, standing: Installation, rabbit: AnyRabbit, store: str) -> Installation:
    """The installation, all of it running and talking to the broker (a home that has just lost it pauses before it tries again)."""
    rabbit.start()
    if store == "postgresql":
        request.getfixturevalue("database").start()
    standing.start()
    wait_until(standing.connected, RECONNECTED_S, "every home has its broker again")
    return standing


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Chance that repeats with the seed."""
    print(f"FLASH_TEST_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def ledger() -> Ledger:
    """Nothing accepted yet."""
    return Ledger()


@pytest.fixture
async def crowd(installation: Installation) -> AsyncIterator[Crowd]:
    """People for one test."""
    async with Crowd(installation.global_server.url, secrets.token_hex(4)) as crowd:
        yield crowd


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[object], None]:
    """Say at the end of the run what was checked."""

    def say(what: object) -> None:
        telling.tell(request.node, "faults", f"{request.node.name}: {what}")

    return say
