"""A home that shares the Global Server's directory enrols by itself, moves by itself, and does not come back by itself after a
revocation."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from servers.global_server.service import GlobalServer
from servers.home.assembly import assemble
from servers.home.config import HomeConfig
from servers.home.service import HomeServer
from servers.messaging.clock_check import ClockConfig
from servers.messaging.heartbeats import HeartbeatConfig
from servers.trust.enrolment import Secret
from tests.servers.registry import House
from tests.servers.strangers import secret_for
from tests.support.waiting import eventually


class Shared:
    """A Global Server, and h1 in its directory."""

    def __init__(self, house: House, server: GlobalServer, directory: Path) -> None:
        self.house, self.server, self.directory = house, server, directory
        self.homes: list[HomeServer] = []

    async def opens(self, url: str = "http://h1.example", secret: Secret | None = None, keys: str = "", beat_s: float = 0.02) -> HomeServer:
        config = HomeConfig(
            "h1", url, f"sqlite:///{self.directory}/h1.db", self.directory / "h1", heartbeats=HeartbeatConfig(beat_s=beat_s),
            enrolment=secret, registry_keys=(f"sqlite:///{self.directory}/keys/global.db",), keys_url=keys,
            clock=ClockConfig(wrong_s=float("inf")),
        )  # fmt: skip
        home = assemble(config, self.house.broker, clock=self.house.clock)
        await home.start()
        self.homes.append(home)
        return home

    async def closes(self) -> None:
        for home in self.homes:
            await home.stop()
        self.homes.clear()

    def url(self) -> str:
        return self.server.directory.home_url("h1")


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Shared]:
    async with House.open(tmp_path, lambda name: f"sqlite:///{tmp_path}/{name}.db") as house:
        shared = Shared(house, await house.opens(), tmp_path)
        yield shared
        await shared.closes()


async def test_it_enrols_and_moves_without_a_step_of_the_ops(shared: Shared) -> None:
    await shared.opens()
    await eventually(lambda: shared.url() == "http://h1.example")
    await shared.closes()
    with capture_logs() as logged:
        await shared.opens("http://127.0.0.1:9999")
        await eventually(lambda: shared.url() == "http://127.0.0.1:9999")
    assert not [entry for entry in logged if entry["event"] in ("home.not_announced", "global.home_refused")], "nothing to worry about"


async def test_it_is_heard_as_soon_as_it_is_enrolled(shared: Shared) -> None:
    """Its first heartbeat came before anybody knew its card, and the next is not due before an hour."""
    await shared.opens(beat_s=3_600.0)
    await eventually(lambda: shared.server.lifecycle.peers.is_up("h1"))


async def test_a_revoked_one_needs_a_secret_of_the_ops(shared: Shared) -> None:
    home = await shared.opens()
    await eventually(home.lifecycle.global_client.announced.is_set)
    await shared.server.lifecycle.registrar.revoke("h1")
    home.lifecycle.global_client.announce()
    await eventually(lambda: "revoked" in home.lifecycle.global_client.refused)
    await eventually(lambda: "`flash enroll h1` makes a secret" in home.lifecycle.global_client.refused)
    assert shared.server.directory.is_revoked("h1")
    await shared.closes()
    home = await shared.opens(secret=secret_for(shared.server.lifecycle.trust.records, "h1", shared.house.clock()))
    await eventually(home.lifecycle.global_client.announced.is_set)
    assert not shared.server.directory.is_revoked("h1")


async def test_another_identity_does_not_take_the_name_over(shared: Shared, tmp_path: Path) -> None:
    """h1's keys were lost, or somebody began a second h1."""
    home = await shared.opens()
    await eventually(home.lifecycle.global_client.announced.is_set)
    known = home.lifecycle.trust.identity.public
    await shared.closes()
    home = await shared.opens(keys=f"sqlite:///{tmp_path}/elsewhere/h1.db")
    await eventually(lambda: "enrolled with another key" in home.lifecycle.global_client.refused)
    card = shared.server.lifecycle.trust.peers.card("h1")
    assert card is not None
    assert card.certificate.key == known


async def test_a_global_server_that_lost_its_keys_is_pinned_anew_only_by_a_secret_of_the_ops(shared: Shared, tmp_path: Path) -> None:
    home = await shared.opens()
    await eventually(home.lifecycle.global_client.announced.is_set)
    known = home.lifecycle.trust.peers.global_key
    await shared.closes()
    await shared.house.closes(shared.server)
    for path in (tmp_path / "keys").glob("global.db*"):
        path.unlink()
    shared.server = await shared.house.opens()
    home = await shared.opens()
    await eventually(lambda: bool(home.lifecycle.global_client.refused))
    assert home.lifecycle.trust.peers.global_key == known
    await shared.closes()
    home = await shared.opens(secret=secret_for(shared.server.lifecycle.trust.records, "h1", shared.house.clock()))
    await eventually(home.lifecycle.global_client.announced.is_set)
    assert home.lifecycle.trust.peers.global_key == shared.server.lifecycle.trust.identity.public != known
