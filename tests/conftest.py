"""Fixtures that every folder of tests may use. Rule: what costs seconds is started once, and only when a test asks for it.

`make test` runs several processes (`pytest -n`). Tests of one file stay together, and so do those of a folder that shares something dear or
something of which the machine has one.
"""

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.postgres import AnyPostgres, choose_postgres
from tests.support.rabbitmq_choice import AnyRabbit, choose_rabbit
from tests.support.telling import sections

# A standing installation, a RabbitMQ that is killed; network namespaces; windows on a screen whose stalls are measured; a village.
TOGETHER = ("faults", "network", "tk", "fairness")
FIRST = ("faults", "network", "tk")  # the longest: what is begun last keeps all others waiting
# One seed for the whole run, also over several processes; set here because other conftests read it as they are loaded.
os.environ.setdefault("FLASH_TEST_SEED", str(secrets.randbelow(1_000_000)))
_told: dict[str, list[str]] = {}
# What is started in the background of a script ignores SIGINT, and so would every program that a test starts, to send it Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what stays together, and begin with what takes longest."""
    here = Path(__file__).parent
    for item in items:
        inside = item.path.relative_to(here)
        group = inside.parts[0] if inside.parts[0] in TOGETHER else str(inside)
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and "store" in item.callspec.params:
            group += f"-{item.callspec.params['store']}"  # an installation for each kind of database: two processes share the work
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in FIRST)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Gather what tests told."""
    if report.when == "teardown":
        for section, lines in sections(report.user_properties).items():
            _told.setdefault(section, []).extend(lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was checked and measured, in numbers, and the seed."""
    for section, lines in _told.items():
        terminalreporter.section(f"{section} (FLASH_TEST_SEED={os.environ['FLASH_TEST_SEED']})")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(autouse=True)
def logs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a command that runs in this process sets up for its log lines ends with the test."""
    configure = structlog.configure
    monkeypatch.setattr(structlog, "configure", lambda **given: configure(**given | {"cache_logger_on_first_use": False}))
    yield
    structlog.reset_defaults()


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


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Where the events of a server lie, by its name, on each kind of database: files of their own, or schemas of one PostgreSQL."""
    if request.param == "sqlite":
        yield lambda server: f"sqlite:///{tmp_path}/{server}.db"
        return
    postgres: AnyPostgres = request.getfixturevalue("postgres")
    with postgres.lend_database() as url:
        yield lambda server: url
