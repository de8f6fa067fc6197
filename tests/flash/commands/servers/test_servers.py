"""The ops enrol a home, look who is there, move a home and revoke one, at the command line and beside a running Global Server."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import msgpack

from clients.command_line.running import run
from flash.cli import people
from servers.global_server.service import GlobalServer
from servers.messaging.questions import Announce, AskLife
from servers.trust.card import global_key_of
from servers.trust.enrolment import Enrolled, Secret, ask_to_enrol
from servers.trust.trust import Trust
from tests.servers.registry import House
from tests.servers.strangers import RecordsInMemory, ask_global
from tests.support.waiting import eventually

URL = "https://h1.example"


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A Global Server whose directory is the one of the commands."""
    for variable in ("FLASH_STORE_URL", "FLASH_BROKER_URL", "FLASH_KEYS_URL", "FLASH_ENROLL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("FLASH_DATA_DIR", str(tmp_path))
    async with House.open(tmp_path, lambda server: f"sqlite:///{tmp_path}/{server}.db") as house:
        yield house


async def flash(*arguments: str) -> int:
    return await asyncio.to_thread(run, people(), list(arguments))


async def enrolled(house: House, text: str, url: str = URL) -> tuple[Trust, Enrolled]:
    """A home that was given `text`."""
    secret = Secret.read(text)
    trust = Trust(secret.home, RecordsInMemory(), house.clock)
    asked = ask_to_enrol(secret, trust.identity, url, 0, trust.box_keys.statements)
    told = msgpack.decode(await house.broker.request("global", msgpack.encode(asked), 5), type=Enrolled)
    if not told.refused:
        trust.peers.pin(global_key_of(told.card))
        trust.peers.hold(told.certificate)
        trust.peers.learn(told.card)
    return trust, told


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command printed; the log of the Global Server in this process is left out."""
    lines = capsys.readouterr().out.splitlines(keepends=True)
    return "".join(line for line in lines if not re.match(r"\d{4}-\d\d-\d\d.*\[(info|warning|error) ", line))


def known(server: GlobalServer, name: str) -> bool:
    return server.lifecycle.trust.peers.card(name) is not None


async def test_a_home_is_enrolled_shown_moved_and_revoked(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    server = await house.opens()
    assert await flash("enroll", "h1", "--url", f"{URL}/") == 0
    printed = said(capsys).strip()
    assert printed.startswith("h1.")
    assert await flash("servers") == 0
    assert "not enrolled" in (line := said(capsys))
    assert "a secret is open" in line
    assert printed not in line
    trust, told = await enrolled(house, printed)
    assert not told.refused
    house.clock.now += 1
    assert await flash("servers", "--json") == 0
    shown = json.loads(said(capsys))
    assert (shown["name"], shown["urls"], shown["believed"]) == ("h1", [URL], False), "the test's clock is years behind"
    assert await flash("servers", "allow", "h1", "https://new.example") == 0
    assert said(capsys) == "h1 may be reached at https://new.example\n"
    assert "keys" in await ask_global(house.broker, trust, Announce("h1", "https://new.example"))
    assert await flash("servers", "revoke", "h1") == 0
    printed = said(capsys)
    assert "no server believes it any more" in printed
    assert "rabbitmqctl delete_user h1" in printed
    assert 'ALTER ROLE "flash_h1" NOLOGIN' in printed
    assert not known(server, "h1")
    assert await flash("servers") == 0
    assert "revoked" in said(capsys)


async def test_ops_read_what_a_home_has_lost_and_accept_it(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    await house.opens()
    await house.home("h1")
    h1 = house.trusts["h1"]
    assert await flash("servers", "accept", "h1") == 1
    assert "h1 does not wait for anybody" in capsys.readouterr().err
    lost = AskLife("h1", 5, 10, 17, "the events after 10 are nowhere")
    assert "accepted" not in await ask_global(house.broker, h1, lost)
    assert await flash("servers") == 0
    assert "h1 was set back and waits for you: the events after 10 are nowhere. `flash servers accept h1`" in said(capsys)
    assert await flash("servers", "accept", "h1") == 0
    assert said(capsys) == "Lost: the events after 10 are nowhere.\naccepted: h1 goes on without it\n"
    assert (await ask_global(house.broker, h1, lost))["accepted"]
    more = AskLife("h1", 5, 10, 18, "one event more")
    assert "accepted" not in await ask_global(house.broker, h1, more), "another loss was accepted, too"
    assert await flash("servers", "accept", "h1") == 0


async def test_a_wish_waits_for_a_global_server_that_does_not_run(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    server = await house.opens()
    await flash("enroll", "h1")
    await enrolled(house, said(capsys))
    await house.closes(server)
    assert await flash("servers", "revoke", "h1") == 0
    assert "as soon as it runs" in said(capsys)
    server = await house.opens()
    assert known(server, "h1") or server.directory.is_revoked("h1")
    await eventually(lambda: server.directory.is_revoked("h1"))


async def test_a_file_for_each_home_is_written_once(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `docker compose` does it: before the Global Server's first start, and again at every other one."""
    into = tmp_path / "secrets"
    assert await flash("enroll", "h1", "h2", "--into", str(into)) == 0
    file = into / "h1" / "secret"
    assert (file.stat().st_mode & 0o777, (into / "h2" / "secret").exists()) == (0o600, True)
    first = file.read_text()
    assert await flash("enroll", "h1", "h2", "--into", str(into)) == 0
    assert file.read_text() == first
    server = await house.opens()
    _, told = await enrolled(house, first)
    assert not told.refused
    assert await flash("enroll", "h1", "--into", str(into)) == 0
    await server.lifecycle.registrar.revoke("h1")
    assert await flash("enroll", "h1", "--into", str(into)) == 0
    assert file.read_text() == first
    assert "h1: revoked; no secret was made" in said(capsys)
    file.unlink()
    assert await flash("enroll", "h1", "--into", str(into)) == 0
    assert file.read_text() == "", "a setting that names the file does not stop the home"


async def test_nothing_is_begun_in_the_wrong_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["enroll", "h1"], ["servers"], ["servers", "revoke", "h1"]):
        assert await flash(*command, "--data", str(tmp_path / "elsewhere")) == 1
        assert "not here: type this on its machine" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("command", ["enroll H1", "enroll global", "enroll h1 --url h1", "servers revoke global", "servers allow h1 x"])
async def test_bad_usage_is_one_line(house: House, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    await house.opens()
    assert await flash(*command.split()) in (1, 2)
    assert len(capsys.readouterr().err.splitlines()) == 1
