"""A Global Server whose database was set back: no uid is given twice, and what nobody has waits for the ops."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from domain.registry.registered_home import GLOBAL
from servers.encryption.key_tables import open_table
from servers.global_server.service import GlobalServer
from servers.global_server.uid_blocks import BLOCK, LOST
from servers.security.identity import Identity
from servers.trust.records import LOSS, Records
from servers.trust.wishes import Wish, make_wish
from tests.servers.registry import HERE, NOW, PASSWORD, House
from tests.servers.strangers import beats
from tests.support.waiting import eventually


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House.open(tmp_path, lambda server: f"sqlite:///{tmp_path}/{server}.db") as house:
        yield house


async def opens(house: House) -> GlobalServer:
    """A Global Server that hears the home h1."""
    return await meets(house, await house.opens())


async def meets(house: House, server: GlobalServer) -> GlobalServer:
    if "h1" not in house.trusts:
        await house.home("h1")

    async def heard() -> bool:
        await beats(house.broker, house.trusts["h1"])
        return server.lifecycle.peers.is_up("h1")

    await eventually(heard)
    return server


async def closes(house: House, server: GlobalServer) -> None:
    await eventually(lambda: server.idle)
    await house.closes(server)


async def registers(server: GlobalServer, handle: str) -> int:
    return (await server.register(handle, PASSWORD, {}, HERE)).uid


def set_back(house: House) -> None:
    for path in house.directory.glob("global.db*"):
        path.unlink()
    shutil.copy(house.directory / "older", house.directory / "global.db")


async def copied(house: House) -> GlobalServer:
    """A Global Server that knows ann goes on after its log was copied."""
    server = await opens(house)
    await registers(server, "ann")
    await closes(house, server)
    shutil.copy(house.directory / "global.db", house.directory / "older")
    return await opens(house)


async def test_what_the_history_has_is_put_back_and_nobody_need_accept_anything(house):
    server = await copied(house)
    await server.change_profile(Identity(1, "ann", "ann", "h1", "http://h1", NOW + 1e6), {"full_name": "Ann Lee"})
    await closes(house, server)
    set_back(house)
    server = await opens(house)
    assert server.lifecycle.keeper.put_back > 0
    assert server.directory.users[1].profile["full_name"] == "Ann Lee"
    assert await registers(server, "bob") > BLOCK


async def test_the_global_servers_certificate_names_the_life_of_its_log(house):
    server = await copied(house)
    held, life = server.lifecycle.trust.peers.held, server.lifecycle.store.life
    assert held.life == life > 0
    await server.change_profile(Identity(1, "ann", "ann", "h1", "http://h1", NOW + 1e6), {"full_name": "Ann Lee"})
    await closes(house, server)
    server = await opens(house)
    assert server.lifecycle.trust.peers.held == held, "a restart is the same life, and needs no other certificate"
    await closes(house, server)

    set_back(house)
    server = await opens(house)
    assert server.lifecycle.trust.peers.held.life == server.lifecycle.store.life != life


async def test_passwords_that_no_history_has_wait_for_the_ops_and_no_uid_is_given_twice(house):
    server = await copied(house)
    bob = await registers(server, "bob")
    await closes(house, server)
    set_back(house)
    opening = asyncio.create_task(house.opens())
    with closing(open_table("", house.store_url, GLOBAL)) as table:
        records = Records(table)
        await eventually(lambda: loss(records))
        assert f"account-{bob} 2" in loss(records)
        make_wish(records, Wish(kind="accept", home=GLOBAL))
    server = await meets(house, await opening)
    assert server.directory.users[bob].handle == "bob"
    assert await registers(server, "eve") > bob + LOST


def loss(records: Records) -> str:
    return (records.read(LOSS + GLOBAL) or b"").decode()


async def test_a_block_of_uids_is_given_by_one_process(house):
    server = await opens(house)
    assert [await registers(server, handle) for handle in ("ann", "bob")] == [1, 2]
    await closes(house, server)
    assert await registers(await opens(house), "carol") == BLOCK + 1


async def test_homes_tell_a_global_server_how_far_it_had_come_by_its_own_word(house):
    """Where the history is gone as well, and only a home knows."""
    server = await opens(house)
    keeper, own_life = server.lifecycle.keeper, server.lifecycle.own_life
    kept = own_life.standing()
    await registers(server, "ann")
    newer = own_life.standing()
    assert await own_life.shown(kept) < await own_life.shown(newer)
    assert await own_life.shown(b"a lie") == 0
    keeper.heard_of("h1", await own_life.shown(newer))
    await keeper.stop()
    assert not keeper.over.is_set(), "it was stopped by what it has"
    keeper.heard_of("h1", 10**6)
    await keeper.stop()
    assert keeper.over.is_set()
    assert "h1 knows that this log had come to 1000000" in (server.ready() or "")


async def test_what_another_process_wrote_to_the_shared_log_is_no_reason_to_stop(house):
    """A second Global Server on the store is ahead of this one's memory, and the homes hear of its events first."""
    server = await opens(house)
    keeper, store = server.lifecycle.keeper, server.lifecycle.store
    await registers(server, "ann")
    stored = await store.run(store.last_position)
    keeper.end = lambda: stored - 1
    keeper.heard_of("h1", stored)
    keeper.heard_of_peer("h1", stored)
    await keeper.stop()
    assert (keeper.over.is_set(), keeper.doubts) == (False, 0)
    keeper.heard_of("h1", stored + 1)
    await keeper.stop()
    assert keeper.over.is_set()
