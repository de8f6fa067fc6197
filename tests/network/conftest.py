"""Three places, two installations outside, ann outside and bob inside, the table of results. Rule: no root, no test, and it says so."""

import random
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.checker import Ledger, doubled, lost, out_of_order, verify
from tests.faults.installation import Server
from tests.network.firewall import Firewall
from tests.network.namespaces import OUTSIDE, Place, three_places, why_not
from tests.network.residents import Resident, moving_in
from tests.network.timing import BLANK_S, NO_BLANK_S

BLANKS_PORT, NO_BLANKS_PORT = 8080, 8090  # of the Global Servers; their homes listen one above
SEED = secrets.randbelow(1_000_000)
HEAD = ("case", "rounds", "offered", "accepted", "lost", "doubled", "out of order", "normal after", "what was seen")
_rows: list[tuple[str, ...]] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table."""
    if _rows:
        terminalreporter.section("networks")
        widths = [max(len(row[column]) for row in (HEAD, *_rows)) for column in range(len(HEAD))]
        for row in (HEAD, *_rows):
            terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@pytest.fixture(scope="session")
def places() -> Iterator[tuple[Place, Place, Place]]:
    """Inside, middle, outside."""
    missing = why_not()
    if missing is not None:
        pytest.skip(missing)
    with three_places() as places:
        yield places


@pytest.fixture(scope="session")
def outside(places: tuple[Place, Place, Place]) -> Place:
    """Where the servers are."""
    return places[2]


@pytest.fixture(scope="session")
def inside(places: tuple[Place, Place, Place]) -> Place:
    """Where clients are that nobody can call."""
    return places[0]


@pytest.fixture(scope="session")
def middle(places: tuple[Place, Place, Place]) -> Place:
    """What lies between."""
    return places[1]


@pytest.fixture
def firewall(places: tuple[Place, Place, Place]) -> Firewall:
    """The middle, letting connections out."""
    firewall = Firewall(*places)
    firewall.lets_out()
    return firewall


@dataclass
class Installations:
    """One that sends blanks, and one that hardly ever does. Each has one home, on the port after the Global Server's."""

    with_blanks: Server
    without: Server

    @property
    def home(self) -> Server:
        """The home of the one with blanks; only to ask it, since it lives in the Global Server's process."""
        return _server(Path(), BLANKS_PORT + 1, BLANK_S)


@pytest.fixture(scope="session")
def installations(outside: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installations]:
    """Both, ready."""
    directory = tmp_path_factory.mktemp("outside")
    made = Installations(*(_server(directory, *which) for which in ((BLANKS_PORT, BLANK_S), (NO_BLANKS_PORT, NO_BLANK_S))))
    servers = (made.with_blanks, made.without)
    try:
        for server in servers:
            outside.call(server.spawn)
        for server in servers:
            outside.call(server.start)
        yield made
    finally:
        for server in servers:
            server.kill()


def _server(directory: Path, port: int, blank_s: float) -> Server:
    data = directory / str(port)
    environment = {"FLASH_HOST": OUTSIDE, "FLASH_BLANK_S": f"{blank_s:g}", "FLASH_DATA_DIR": str(data)}
    server = Server(f"outside-{port}", ["serve", "--homes", "1"], port, environment, directory / f"{port}.log")
    server.url = f"http://{OUTSIDE}:{port}"
    return server


class Town:
    """Whoever is needed, wherever they live, each knowing all the others; and the account of what they sent."""

    def __init__(self, outside: Place, inside: Place, ledger: Ledger, stack: AsyncExitStack, case: str) -> None:
        self._places = {"outside": outside, "inside": inside}
        self._stack = stack
        self._tag = secrets.token_hex(3)
        self._case = case
        self.ledger = ledger
        self.people: list[Resident] = []

    async def moves_in(self, name: str, where: str, server: Server) -> Resident:
        """One more."""
        resident = await self._stack.enter_async_context(moving_in(self._places[where], server.url, f"{name}-{self._tag}"))
        for other in self.people:
            await other.adds(resident)
            await resident.adds(other)
        self.people.append(resident)
        return resident

    async def account(self, normal_s: float, what: str, rounds: int = 1) -> None:
        """Check every message, and write down the row."""
        await verify(self.ledger, self.people)
        missing = lost(self.ledger, {person.uid: person for person in self.people}).look()
        problems = [found for check in (doubled, lambda person: out_of_order(self.ledger, person)) for found in map(check, self.people)]
        twice, disordered = problems[: len(self.people)], problems[len(self.people) :]
        offered = sum(person.offered for person in self.people)
        counts = (rounds, offered, len(self.ledger.accepted), len(missing), sum(map(len, twice)), sum(map(len, disordered)))
        _rows.append((self._case, *map(str, counts), f"{normal_s:.3f} s", what))
        print(*zip(HEAD, _rows[-1], strict=True))


@pytest.fixture
async def town(outside: Place, inside: Place, installations: Installations, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    """Nobody yet."""
    async with AsyncExitStack() as stack:
        case = request.node.name.removeprefix("test_").replace("_", " ")
        yield Town(outside, inside, Ledger(), stack, case)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Chance that repeats with the seed."""
    print(f"seed {SEED}")
    return random.Random(f"{SEED} {request.node.name}")
