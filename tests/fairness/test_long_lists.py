"""Users whose contact lists are long ask for them, log in and read nothing. What 79ccbf3 did stands with each test."""

import asyncio
import re
from collections import Counter

import pytest

from tests.fairness.village import CROWD, PLAIN, RICH, Village, many, request, wires_to

pytestmark = pytest.mark.timeout(300)  # whoever comes first makes the village
MB = 1_000_000
SOME = 65_536  # bytes


async def test_lists_that_nobody_reads_are_not_held_in_memory(village: Village) -> None:
    """On 79ccbf3 all 400 were made at once, and they held 210 MB."""
    rich = village.villagers[RICH[0]]
    ask = request("GET", "/v1/contacts", rich)
    before = village.program.memory
    async with wires_to(village.program.port + 1, 400) as wires:
        statuses = Counter(await asyncio.gather(*(wire.asks(ask) for wire in wires)))
        assert village.program.memory - before < 50 * MB
        assert statuses == {200: 64, 429: 336}, "a user has 64 connections"
        assert await village.call(village.crowd[0], "GET", "/v1/contacts") == 200, "others do not pay for it"


async def test_sessions_that_read_nothing_are_not_held_in_memory(village: Village) -> None:
    """On 79ccbf3 each of the 80 held its whole welcome, and they held 90 MB."""
    before = village.program.memory
    async with wires_to(village.program.port + 1, 20 * len(RICH)) as wires:
        asking = (
            wire.asks(request("POST", "/v1/back-connection", village.villagers[RICH[number % len(RICH)]], {}))
            for number, wire in enumerate(wires)
        )
        assert Counter(await many(asking)) == {200: len(wires)}
        assert village.program.memory - before < 50 * MB


async def test_lists_that_are_asked_for_at_once_are_made_in_turn_with_those_of_others(village: Village) -> None:
    """On 79ccbf3 the 60 lists of one user were all made before the list of another one, who asked in the same moment."""
    port, plain, other = village.program.port + 1, village.villagers[PLAIN], village.crowd[0]
    counted = b"GET /metrics HTTP/1.1\r\nHost: flash\r\n\r\n"
    name = 'flash_http_requests_total{route="GET /v1/contacts",status="200"}'
    assert await village.call(other, "GET", "/v1/contacts") == 200
    async with wires_to(port, 61) as wires:
        before = await village.program.metric(name, home=True)
        *attackers, victim = wires
        for wire in attackers:
            wire.writer.write(request("GET", "/v1/contacts", plain))
        victim.writer.write(request("GET", "/v1/contacts", other) + counted)
        answers = b""
        while (found := re.search(re.escape(name).encode() + rb" ([0-9.]+)\n", answers)) is None:
            data = await victim.reader.read(SOME)
            assert data, answers[-1_000:]
            answers += data
    lists = float(found[1]) - before - 1
    assert lists <= 30


async def test_a_login_costs_what_its_welcome_holds(village: Village) -> None:
    """On 79ccbf3 none of these was refused: a login with a long list cost as much as one without."""
    plain = village.villagers[PLAIN]
    login = request("POST", "/v1/back-connection", plain, {})

    async def logs_in() -> int:
        async with wires_to(village.program.port + 1, 1) as (wire,):
            return await wire.asks(login)

    statuses = Counter(await many((logs_in() for _ in range(6_000 * 50 // CROWD + 100)), 8))
    assert statuses[429] >= 50, statuses
