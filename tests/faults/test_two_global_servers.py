"""Two Global Servers on one store. Rule: the store, not a process's memory, keeps uids and handles from being given twice."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import flash_sdk
from flash_sdk import FlashClient, Grant
from tests.faults.history import close, first_difference, open_store, read_history, stored_records
from tests.faults.installation import Installation, Server
from tests.faults.people import PASSWORD
from tests.support.ports import free_ports
from tests.support.waiting import eventually

EACH = 25  # handles that are asked for at one server only
TOLD_S = 20.0  # the outboxes have a few hundred events to publish
CONTESTED = 10  # handles that are asked for at both


@pytest.fixture
def second(installation: Installation, tmp_path: Path) -> Iterator[Server]:
    """Another Global Server on the same database, with the same signing key; data directory and port are its own."""
    environment = installation.environment | {
        "FLASH_STORE_URL": installation.store_url("global"),
        "FLASH_DATA_DIR": str(tmp_path / "second"),
        "FLASH_SIGNING_KEY_FILE": str(installation.data / "global" / "signing-key.pem"),
    }
    server = Server("global", ["global"], free_ports(1)[0], environment, installation.directory / "second-global.log")
    try:
        server.start()
        yield server
    finally:
        server.kill()


async def test_no_uid_and_no_handle_is_given_twice(
    installation: Installation, second: Server, chance: random.Random, tell: Callable[[object], None]
) -> None:
    """Many users register at both at once, some with the same handles."""
    tag = f"{chance.randrange(16**6):06x}"
    contested = [f"both{number}-{tag}" for number in range(CONTESTED)]
    granted: list[Grant] = []
    refused: Counter[str] = Counter()

    async def register(server: Server, handle: str) -> None:
        async with FlashClient(server.url) as client:
            while True:
                try:
                    granted.append(await client.register(handle, PASSWORD))
                except (flash_sdk.Unreachable, flash_sdk.TryLater):
                    continue
                except flash_sdk.Refused as refusal:
                    refused[refusal.code] += 1
                return

    wishes = [
        (server, handle)
        for number, server in enumerate((installation.global_server, second))
        for handle in [*contested, *(f"own{number}-{each}-{tag}" for each in range(EACH))]
    ]
    chance.shuffle(wishes)
    await asyncio.gather(*(register(server, handle) for server, handle in wishes))

    handles = Counter(grant.handle for grant in granted)
    uids = Counter(grant.uid for grant in granted)
    assert not [handle for handle, count in handles.items() if count > 1]
    assert not [uid for uid, count in uids.items() if count > 1]
    assert set(handles) == {handle for _, handle in wishes}
    assert refused == {"handle_taken": CONTESTED}
    await each_knows_all(installation.global_server, granted)
    await each_knows_all(second, granted)
    await history_is_whole(installation)
    tell(f"{len(wishes)} registrations at two servers: {len(uids)} uids, {len(handles)} handles, {refused['handle_taken']} refused")


async def history_is_whole(installation: Installation) -> None:
    """Both publish the one log, and no reader misses an event, because no event comes after a later one."""
    store = open_store(installation.store_url("global"), "global")
    try:
        stored = await stored_records(store)

        async def told() -> bool:
            history = await read_history(installation.amqp_url)
            assert not [late for late in history.disorder if late[0] == "global"], history.disorder
            return first_difference(history.records["global"], stored) is None

        await eventually(told, TOLD_S)
    finally:
        await close(store)


async def each_knows_all(server: Server, granted: list[Grant]) -> None:
    """A user who was registered at any Global Server is known here by the token from there, can log in, and has the same uid."""
    async with FlashClient(server.url) as client:
        for grant in granted[::10]:
            client.use(grant)
            assert (await client.user(grant.uid)).handle == grant.handle
            assert (await client.login(grant.handle, PASSWORD)).uid == grant.uid
