"""One client that pipelines holds neither the memory nor the loop. `PROGRAM_UNDER_TEST` names another `flash` program to hold to this."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import cast

import pytest

from domain.errors import Invalid
from edge.contracts import requests
from edge.http.route import MAX_FIELDS, Route
from tests.edge.conftest import RunningHome
from tests.edge.http.test_head_cache import Transport, Understood, opened, unused
from tests.edge.raw_client import RawClient, raw_client_to
from tests.support.ports import free_ports
from tests.support.waiting import eventually

FLASH = os.environ.get("PROGRAM_UNDER_TEST", str(Path(sys.executable).with_name("flash")))
START_S = 60  # on a busy machine
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
DESCRIPTION = b"GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n"


@dataclass
class Program:
    """A running `flash serve`."""

    port: int
    pid: int

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def answered(self, raw_client: RawClient, call: str) -> int:
        """How many requests of this kind the server has answered, asked over `raw_client`."""
        found = re.search(rf'route="{call}",status="200"}} ([0-9.]+)', (await raw_client.ask("GET", "/metrics")).body.decode())
        return int(float(found[1])) if found else 0


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    (port, _) = free_ports(2, in_a_row=True)
    arguments = ("serve", "--homes", "1", "--port", str(port), "--data", str(tmp_path / "data"))
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(FLASH, *arguments, stdout=quiet, stderr=quiet)

    async def ready() -> bool:
        try:
            async with raw_client_to(port) as raw_client:
                return (await raw_client.ask("GET", "/readyz")).status == 200
        except OSError:
            return False

    try:
        await eventually(ready, START_S)
        yield Program(port, process.pid)
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("connections", [1, 10])
async def test_answers_that_nobody_reads_do_not_fill_the_memory(program: Program, connections: int):
    requests = 2_000
    async with raw_client_to(program.port) as watcher, AsyncExitStack() as stack:
        size = len((await watcher.ask("GET", "/openapi.json")).body)
        before = program.memory
        raw_clients = [await stack.enter_async_context(raw_client_to(program.port)) for _ in range(connections)]
        for raw_client in raw_clients:
            cast(asyncio.Transport, raw_client.writer.transport).pause_reading()
            raw_client.send(DESCRIPTION * requests)
        counts = [-1]

        async def settled() -> bool:
            counts.append(await program.answered(watcher, "GET /openapi.json"))
            return len(counts) > 20 and 0 < counts[-1] == counts[-20]

        await eventually(settled, 60)
        assert program.memory - before < 4_000_000 + connections * 500_000
        for raw_client in raw_clients:
            cast(asyncio.Transport, raw_client.writer.transport).resume_reading()
            for _ in range(requests):
                assert len((await raw_client.response()).body) == size


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_client_that_pipelines_keeps_nobody_waiting(program: Program):
    async def pipeline(raw_client: RawClient) -> None:
        raw_client.send(HEALTH)
        _, headers, head = await raw_client.head()
        size = len(head + await raw_client.exactly(int(headers["content-length"])))
        while True:
            raw_client.send(HEALTH * 6_000)
            await raw_client.exactly(6_000 * size)

    async with raw_client_to(program.port) as attacker, raw_client_to(program.port) as victim:
        attack = asyncio.create_task(pipeline(attacker))
        await eventually(lambda: program.answered(victim, "GET /healthz"))
        between = []
        for _ in range(40):
            before = await program.answered(victim, "GET /healthz")
            between.append(await program.answered(victim, "GET /healthz") - before)
        assert not attack.done()
        attack.cancel()
        assert median(between) < 500, between


async def test_one_turn_of_the_loop_answers_one_request(home: RunningHome):
    understood = Understood()
    connection = opened(understood)
    connection.data_received(HEALTH * 6_000)
    answered = len(understood.requests)
    while answered < 6_000:
        await asyncio.sleep(0)
        assert answered <= len(understood.requests) <= answered + 1
        answered = len(understood.requests)
    connection.finish()


async def test_one_turn_of_the_loop_parses_a_bounded_part_of_a_body(home: RunningHome):
    """A body in chunks of one byte costs the parser six bytes and three calls for each."""
    understood = Understood()
    connection = opened(understood)
    connection.data_received(b"POST /v1/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 30_000)
    unread = connection.reader.unread_bytes
    while unread:
        assert not understood.requests
        await asyncio.sleep(0)
        assert unread - 20_000 < connection.reader.unread_bytes <= unread
        unread = connection.reader.unread_bytes
    connection.data_received(b"0\r\n\r\n")
    await eventually(lambda: understood.requests)
    assert understood.requests[0][3] == b"x" * 30_000
    connection.finish()


async def test_past_the_high_water_mark_nothing_is_answered_parsed_or_read(home: RunningHome):
    understood = Understood()
    connection = opened(understood)
    transport = connection.transport
    assert isinstance(transport, Transport)
    connection.data_received(HEALTH)
    await eventually(lambda: understood.requests)
    connection.pause_writing()
    assert transport.reading is False
    connection.data_received(HEALTH * 2)  # what the loop had read already
    for _ in range(10):
        await asyncio.sleep(0)
    assert (len(understood.requests), connection.reader.unread_bytes) == (1, len(HEALTH * 2))
    connection.resume_writing()
    await eventually(lambda: len(understood.requests) == 3)
    assert transport.reading is True
    connection.finish()


async def test_a_form_or_a_query_has_a_bounded_number_of_fields():
    """Taking a form of 64 KiB apart would hold the loop for 40 ms."""
    route = Route("GET", "/x", unused, {}, query=requests.Search)
    assert route.read_query("q=bob").q == "bob"
    for fields in (MAX_FIELDS + 1, 20_000):
        with pytest.raises(Invalid, match="name=value pairs"):
            route.read_query("&".join(f"a{number}=" for number in range(fields)))
