"""What the tests of windows share: one screen, one Flash, and people with clients. Rule: nobody's process outlives their test.

Pictures of each main state are written to the folder that `FLASH_PICTURES` names, when it names one.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest

from flash_sdk import FlashClient, TryLater
from tests.clients.tk.servers import RunningServer
from tests.clients.tk.windows.person import Person
from tests.support import telling
from tests.support.display import Display
from tests.support.waiting import eventually

PASSWORD = "correct horse"
_numbers = count(1)  # handles are used once: the servers live longer than a test

Friend = Callable[[str], Awaitable[FlashClient]]
Client = Callable[..., Awaitable[Person]]
Figure = Callable[[str], None]


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Say at the end of the run what was measured."""
    return lambda line: telling.tell(request.node, "popup client", line)


@pytest.fixture(scope="session", autouse=True)
def _tk() -> None:
    try:
        import tkinter  # noqa: F401
    except ImportError:
        pytest.fail("this Python has no Tk: apt-get install python3-tk (a Python built from source needs tk-dev first)", pytrace=False)


@pytest.fixture(scope="session")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    """A display with a window manager."""
    try:
        display = Display(tmp_path_factory.mktemp("display"))
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    with display:
        yield display


@pytest.fixture(scope="session")
def flash_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A whole Flash."""
    with RunningServer(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture
async def friend(flash_servers: RunningServer) -> AsyncIterator[Friend]:
    """Registers somebody who uses the SDK; their handle ends in a number of its own."""
    async with AsyncExitStack() as stack:

        async def register(name: str) -> FlashClient:
            client = await stack.enter_async_context(FlashClient(flash_servers.url))
            handle, profile = f"{name}{next(_numbers)}", {"full_name": f"{name.title()} Baker", "city": "Springfield"}

            async def registered() -> bool:
                try:
                    await client.register(handle, PASSWORD, profile)
                except TryLater:  # on a busy machine the homes come a moment after the Global Server
                    return False
                return True

            await eventually(registered)
            return client

        yield register


@pytest.fixture
async def client(screen: Display, tmp_path: Path, flash_servers: RunningServer) -> AsyncIterator[Client]:
    """Makes popup clients; at the end each has left in order, and none has complained."""
    people: list[Person] = []

    async def make(name: str, server: str | None = None) -> Person:
        person = Person(screen, tmp_path / name, server or flash_servers.url)
        people.append(person)
        return person

    yield make
    for person in people:
        assert await person.leaves() == 0
        assert not person.complaints()


@pytest.fixture
async def pair(client: Client, friend: Friend) -> tuple[Person, FlashClient, FlashClient]:
    """Ann at her client, connected, with bob on her list, who is not online; ann's and bob's own sessions."""
    ann, bob = await friend("ann"), await friend("bob")
    await ann.add_contact(bob.grant.uid)
    await bob.add_contact(ann.grant.uid)
    window = await client("ann")
    window.remembers(ann.grant)
    await window.starts()
    await window.sees("^Connected$")
    await window.sees("Bob Baker\noffline", kind="Canvas")
    await window.has_keyboard("^Flash - ann")
    return window, ann, bob


@pytest.fixture
def pictures() -> Path | None:
    """Where pictures go, if anywhere."""
    folder = os.environ.get("FLASH_PICTURES")
    return Path(folder) if folder else None
