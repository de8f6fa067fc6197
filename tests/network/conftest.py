"""Three places, two installations outside, ann outside and bob inside, the table of results. Rule: no root, no test, and it says so."""

import os
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
from tests.support import telling

BLANKS_PORT, NO_BLANKS_PORT = 8080, 8090  # of the Global Servers; their homes listen one above
SEED = int(os.environ["FLASH_TEST_SEED"])


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
        return server_outside(Path(), BLANKS_PORT + 1, BLANK_S)


@pytest.fixture(scope="session")
def installations(outside: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installations]:
    """Both, ready."""
    directory = tmp_path_factory.mktemp("outside")
    made = Installations(*(server_outside(directory, *which) for which in ((BLANKS_PORT, BLANK_S), (NO_BLANKS_PORT, NO_BLANK_S))))
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


def server_outside(directory: Path, port: int, blank_s: float, homes: int = 1) -> Server:
    """An installation in one process, not started. Its homes listen one port above, and so on."""
    data = directory / str(port)
    environment = {
        "FLASH_HOST": OUTSIDE,
        "FLASH_BLANK_S": f"{blank_s:g}",
        "FLASH_DATA_DIR": str(data),
        "FLASH_DIRECT_NETWORKS": "10.77.0.0/16",
    }
    server = Server(f"outside-{port}", ["serve", "--homes", str(homes)], port, environment, directory / f"{port}.log")
    server.url = f"http://{OUTSIDE}:{port}"
    return server


class Town:
    """The people whom a test needs, at any homes, each with all the others as contacts; and the account of what they sent."""

    def __init__(self, outside: Place, inside: Place, ledger: Ledger, stack: AsyncExitStack, node: pytest.Item) -> None:
        self._places = {"outside": outside, "inside": inside}
        self._stack = stack
        self._tag = secrets.token_hex(3)
        self._node = node
        self._case = node.name.removeprefix("test_").replace("_", " ")
        self.ledger = ledger
        self.people: list[Resident] = []

    async def moves_in(self, name: str, where: str | Place, server: Server) -> Resident:
        """One more."""
        place = where if isinstance(where, Place) else self._places[where]
        resident = await self._stack.enter_async_context(moving_in(place, server.url, f"{name}-{self._tag}"))
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
        counts = f"lost {len(missing)}, doubled {sum(map(len, twice))}, out of order {sum(map(len, disordered))}"
        accepted = f"rounds {rounds}, offered {offered}, accepted {len(self.ledger.accepted)}"
        telling.tell(self._node, "networks", f"{self._case}: {accepted}, {counts}, normal after {normal_s:.3f} s; {what}")


@pytest.fixture
async def town(outside: Place, inside: Place, installations: Installations, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    """Nobody yet."""
    async with AsyncExitStack() as stack:
        yield Town(outside, inside, Ledger(), stack, request.node)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Chance that repeats with the seed."""
    print(f"FLASH_TEST_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")
