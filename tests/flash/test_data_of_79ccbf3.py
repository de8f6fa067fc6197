"""A data directory that commit 79ccbf3 left behind opens today. `data_of_79ccbf3/make.py` made it.

Ann (h1) and Bob (h2) have each other as contacts. Bob has seen one popup, and two wait for him. Ann is away. Dan wrote to Ann and then left
for good, so his key is destroyed. The audit's store is there, too.
"""

import asyncio
import tarfile
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import msgpack
import pytest

from clients.command_line.running import run
from flash.cli import people
from flash_sdk import Event, FlashClient, Message, Presence, Receipt, Refused, Welcome
from servers.encryption.key_tables import SqliteKeys
from servers.store.databases import open_view
from tests.clients.tk.servers import RunningServer

ARCHIVE = Path(__file__).with_name("data_of_79ccbf3") / "data.tar.gz"
QUIET_S = 1.0  # what is not there after this time does not come


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11 has it in its later releases
        archive.extractall(tmp_path / "data")  # noqa: S202 - our own archive
    return tmp_path / "data"


async def heard(client: FlashClient) -> list[Event]:
    """What a window is told until it is quiet."""
    found: list[Event] = []

    async def listen() -> None:
        async with aclosing(client.listen()) as events:
            async for event in events:
                found.append(event)  # noqa: PERF401 - others look at what is there so far

    listening = asyncio.create_task(listen())
    known = -1
    while known < len(found) or not any(isinstance(event, Welcome) for event in found):
        known = len(found)
        await asyncio.sleep(QUIET_S)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    return found


@pytest.fixture
async def url(data: Path) -> AsyncIterator[str]:
    with RunningServer(data) as server:
        yield server.url


async def test_people_contacts_and_waiting_popups_are_there(url: str) -> None:
    async with FlashClient(url) as ann, FlashClient(url) as bob:
        await ann.login("ann", "ann-password")
        await bob.login("bob", "bob-password")
        contacts = [(c.handle, c.name, c.alias) for c in await ann.contacts()]
        assert contacts == [("bob", "Bob Example", "Bobby"), ("carol", "Carol Example", None), ("dan", "dan", None)], "no name of Dan's"
        assert {user.handle async for user in bob.search("example florida")} == {"ann", "bob", "carol"}
        assert [e.text for e in await heard(bob) if isinstance(e, Message)] == ["waiting one", "waiting two"]
        assert [e for e in await heard(bob) if isinstance(e, Message)] == [], "each popup is delivered once"
        at_anns = await heard(ann)
        assert {(e.id, e.state) for e in at_anns if isinstance(e, Receipt)} >= {("one", "delivered"), ("two", "delivered")}
        (welcome,) = (e for e in at_anns if isinstance(e, Welcome))
        assert welcome.status is not None
        assert (welcome.status.status, welcome.status.note) == ("away", "at lunch")
        assert not any(isinstance(e, Message) for e in at_anns), "what Dan wrote went with him"


async def test_presence_is_told_between_the_homes(url: str) -> None:
    async with FlashClient(url) as ann, FlashClient(url) as bob:
        await ann.login("ann", "ann-password")
        bobs_uid = (await bob.login("bob", "bob-password")).uid
        watching = asyncio.create_task(heard(ann))
        await heard(bob)
        changes = [(c.uid, c.presence.status) for e in await watching if isinstance(e, Presence) for c in e.changes]
        assert (bobs_uid, "online") in changes


async def test_who_left_is_gone_and_the_others_keep_their_keys(url: str, data: Path) -> None:
    async with FlashClient(url) as dan:
        with pytest.raises(Refused):
            await dan.login("dan", "dan-password")
    for server in ("global", "h1", "h2"):
        with closing(SqliteKeys(data / "keys" / f"{server}.db")) as keys:
            known = {owner: key is not None for owner, key in keys.everything().items() if owner > 0}
        assert known.pop(4) is False, "Dan's key"
        assert set(known.values()) == {True}


def test_every_log_is_what_it_was_and_the_audit_goes_on(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunningServer(data):
        pass
    assert run(people(), ["audit", "verify", "--data", str(data)]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.endswith(" honest")] == [
        f"{server}: honest" for server in ("global", "h1", "h2")
    ]
    for server in ("global", "h1", "h2"):
        with closing(open_view(f"sqlite:///{data}/{server}.db", server)) as view:
            began = [(row.position, row.version, msgpack.unpackb(row.data)) for row in view.stream(f"life-{server}")]
        assert [(version, told["former"], told["agreed"]) for _, version, told in began] == [(1, 0, began[0][0] - 1)], "it has no life"
        assert began[0][0] > 1
    assert run(people(), ["audit", "trace", "seen", "--data", str(data)]) == 0
    assert "delivered" in capsys.readouterr().out
    for home in ("h1", "h2"):
        assert run(people(), ["projections", "rebuild", home, "--data", str(data)]) == 0
        assert "DIFFERENT" not in capsys.readouterr().out
