"""Somebody who reads slowly is told of many changes. What 79ccbf3 did stands with the test."""

import re

import pytest

from tests.fairness.village import FLAPPER, PLAIN, Village, many, request, wires_to

pytestmark = pytest.mark.timeout(300)  # whoever comes first makes the village
ONLINE = 40  # contacts of the slow client who change their status
CHANGES = 25
NOTE = "n" * 250
LAST = re.compile(rb'"note":"%b(\d+)"' % NOTE.encode())


async def test_presence_of_many_contacts_cuts_off_no_client_that_is_slow(village: Village) -> None:
    """On 79ccbf3 it was cut off once 256 changes waited, though only the last one of each contact matters."""
    port, slow, contacts = village.program.port + 1, village.villagers[PLAIN], village.crowd[:ONLINE]
    async with wires_to(port, ONLINE) as theirs, wires_to(port, 1) as (wire,):
        for contact, each in zip(contacts, theirs, strict=True):
            assert await each.asks(request("POST", "/v1/back-connection", contact, {})) == 200
        assert await wire.asks(request("POST", "/v1/back-connection", slow, {})) == 200
        for change in range(CHANGES):
            bodies = ({"status": "away", "note": f"{NOTE}{change * ONLINE + number}", "until": None} for number in range(ONLINE))
            told = [village.call(contact, "PUT", "/v1/status", body) for contact, body in zip(contacts, bodies, strict=True)]
            assert set(await many(told, 1)) == {204}, "each of them is a part of its own"
        missing = {(CHANGES - 1) * ONLINE + number for number in range(ONLINE)}
        seen = b""
        while missing:
            data = await wire.reader.read(65_536)
            assert data, f"cut off; {len(missing)} last changes did not come"
            seen = seen[-1_000:] + data
            missing -= {int(number) for number in LAST.findall(seen)}


async def test_a_status_costs_what_its_watchers_are(village: Village) -> None:
    """On 79ccbf3 none of these was refused, and each of them was told to 240 people."""
    flapper = village.villagers[FLAPPER]
    changes = (village.call(flapper, "PUT", "/v1/status", {"status": "away", "note": f"{n}", "until": None}) for n in range(300))
    statuses = await many(changes, 8)
    assert statuses.count(429) >= 50
