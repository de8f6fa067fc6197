"""Stories of ops who see who is heavy, and let them have turns at a tenth: with the real program, by the command line and HTTP."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.support.program import FLASH, PASSWORD, running_program
from tests.support.waiting import eventually

OPS = {"FLASH_OPS": "opal"}
ADDRESS = "203.0.113.77"


class Desk:
    """Opal's terminal."""

    def __init__(self, directory: Path, port: int):
        self._directory = directory
        self._env = {**os.environ, "FLASH_SERVER": f"http://127.0.0.1:{port}", "FLASH_CONFIG_DIR": str(directory / "config"),
                     "FLASH_PASSWORD": PASSWORD, "COLUMNS": "160"}  # fmt: skip

    async def types(self, *words, fails=False):
        """What a command prints."""
        pipe = asyncio.subprocess.PIPE
        command = await asyncio.create_subprocess_exec(FLASH, *words, env=self._env, stdout=pipe, stderr=pipe)
        out, err = await command.communicate()
        assert (command.returncode != 0) is fails, (words, err.decode())
        return (err if fails else out).decode()

    async def audit(self, *words):
        return await self.types("audit", *words, "--data", str(self._directory / "data"))


async def both_hear(program, name, value):
    async def heard():
        return [await program.metric(name), await program.metric(name, home=True)] == [value, value]

    await eventually(heard, 20)


@pytest.fixture
async def town(tmp_path):
    async with running_program(tmp_path, OPS) as program:
        people = {handle: await program.registers(handle) for handle in ("opal", "ann", "bob")}
        desk = Desk(tmp_path, program.port)
        await desk.types("login", "opal")
        yield program, desk, people


async def test_who_asks_most_is_on_top(town):
    program, desk, people = town
    for number in range(600):
        who = "bob" if number % 20 == 0 else "ann"
        assert (await program.call("GET", "/v1/contacts", token=people[who]["token"], home=True, address=ADDRESS))[0] == 200
    servers = {each["server"]: each for each in map(json.loads, (await desk.types("top", "--json")).splitlines())}
    assert set(servers) == {"global", "h1"}
    of_h1 = servers["h1"]["heaviest"]
    assert next(each["who"] for each in of_h1 if each["kind"] == "user") == "ann"
    assert ADDRESS in [each["who"] for each in of_h1 if each["kind"] == "address"]
    screen = await desk.types("top", "--once")
    assert "ann" in screen
    assert "h1" in screen


async def test_only_ops_may_look_and_a_look_is_noted(town):
    program, desk, people = town
    assert (await program.call("GET", "/v1/ops/heavy", token=people["ann"]["token"]))[0] == 403
    await desk.types("top", "--once")
    assert "heavy" in await desk.audit("log", "--topic", "audit.read")


async def test_a_throttled_user_has_few_turns_and_loses_nothing(town):
    program, desk, people = town
    assert "ann" in await desk.types("throttle", "user", "ann", "--for", "10m")
    await both_hear(program, 'flash_throttled{kind="user"}', 1.0)

    async def reads(who):
        return (await program.call("GET", "/v1/contacts", token=people[who]["token"], home=True))[0]

    async def of_ann_wait():
        return await program.metric("flash_throttled_waiting", home=True) > 0

    of_ann = [asyncio.ensure_future(reads("ann")) for _ in range(60)]
    await eventually(of_ann_wait, 20)
    of_bob = [await reads("bob") for _ in range(3)]
    assert not all(each.done() for each in of_ann)  # nobody waits behind her; tests/runtime/test_brake.py counts the tenth
    await desk.types("throttle", "user", "ann", "--end")
    assert set(await asyncio.gather(*of_ann)) == set(of_bob) == {200}
    assert "nobody" in await desk.types("throttle", "list")


async def test_a_throttle_outlives_a_restart_and_ends_by_itself(tmp_path):
    async with running_program(tmp_path, OPS) as program:
        for handle in ("opal", "ann"):
            await program.registers(handle)
        desk, port = Desk(tmp_path, program.port), program.port
        await desk.types("login", "opal")
        await desk.types("throttle", "home", "h1", "--for", "1h")
        await desk.types("throttle", "user", "ann", "--for", "2s")
        await both_hear(program, 'flash_throttled{kind="home"}', 1.0)
    for checkpoint in (tmp_path / "data").glob("*/throttles.projection"):
        checkpoint.unlink()  # it is made anew of the log
    async with running_program(tmp_path, OPS, port) as program:
        await both_hear(program, 'flash_throttled{kind="home"}', 1.0)
        await both_hear(program, 'flash_throttled{kind="user"}', 0.0)
        listed = await desk.types("throttle", "list", "--json")
        assert [(each["kind"], each["who"], each["by"]) for each in map(json.loads, listed.splitlines())] == [("home", "h1", "opal")]


async def test_an_address_is_encrypted_on_disk_and_goes_with_whoever_gave_it(town, tmp_path):
    program, desk, _people = town
    await desk.types("throttle", "address", ADDRESS)
    await both_hear(program, 'flash_throttled{kind="address"}', 1.0)
    assert ADDRESS in await desk.types("throttle", "list")
    told = await desk.audit("log", "--topic", "throttles.began")
    assert "opal" in told
    assert ADDRESS not in told
    assert not [file for file in (tmp_path / "data").rglob("*") if file.is_file() and ADDRESS.encode() in file.read_bytes()]
    assert "opal" in await desk.types("user", "erase", "opal")
    await both_hear(program, 'flash_throttled{kind="address"}', 0.0)


@pytest.mark.parametrize("words", [("user", "nobody"), ("address", "here"), ("home", "h9")])
async def test_who_is_not_there_cannot_be_throttled(town, words):
    _, desk, _ = town
    assert "flash: " in await desk.types("throttle", *words, fails=True)
