"""Fixtures that every folder of tests may use. Rule: what costs seconds is started once, and only when a test asks for it."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import AnyPostgres, choose_postgres
from tests.support.rabbitmq_choice import AnyRabbit, choose_rabbit


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyRabbit]:
    """A running RabbitMQ, one for the whole session. A test that stops it must start it again."""
    try:
        rabbit = choose_rabbit(tmp_path_factory.mktemp("rabbitmq"))
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        rabbit.start()
        yield rabbit
    finally:
        rabbit.close()


@pytest.fixture
def amqp_url(rabbitmq: AnyRabbit) -> str:
    """The URL of a fresh, empty vhost."""
    return rabbitmq.new_vhost()


@pytest.fixture(scope="session")
def postgres() -> Iterator[AnyPostgres]:
    """A running PostgreSQL, one for the whole session. A test that stops it must start it again."""
    try:
        server = choose_postgres()
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        server.start()
        yield server
    finally:
        server.close()
