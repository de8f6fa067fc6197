"""A limit counts the work behind a call. What 79ccbf3 did stands with each test; `PROGRAM_UNDER_TEST` holds another program to them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Program, running_program

Call = Callable[[int], Any]


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    async with running_program(tmp_path, {"FLASH_REGISTRATIONS_PER_S": "1000"}) as program:
        yield program


async def statuses(call: Call, count: int) -> "Counter[int]":
    """How often each status was the answer, of so many calls, fifty at a time."""
    found: Counter[int] = Counter()
    for start in range(0, count, 50):
        found.update([status for status, _ in await asyncio.gather(*(call(n) for n in range(start, min(start + 50, count))))])
    return found


async def test_the_status_has_a_budget_of_its_own(program: Program):
    """On 79ccbf3 a status came out of the 6,000 units of contacts and logins: none of these was refused."""
    ann = await program.registers("ann")
    token = ann["token"]
    body = {"status": "away", "note": "", "until": None}
    found = await statuses(lambda n: program.call("PUT", "/v1/status", {**body, "note": f"{n}"}, token=token, home=True), 1_400)
    assert found[429] >= 100, found
    assert (await program.call("PUT", f"/v1/contacts/{ann['uid']}", {}, token=token, home=True))[0] == 201, "contacts have another one"


async def test_a_contact_list_costs_what_it_holds(program: Program):
    """On 79ccbf3 a contact list cost nothing, however long it was."""
    ann = await program.registers("ann")
    for number in range(100):
        other = await program.registers(f"other{number}")
        assert (await program.call("PUT", f"/v1/contacts/{other['uid']}", {}, token=ann["token"], home=True))[0] == 201
    found = await statuses(lambda n: program.call("GET", "/v1/contacts", token=ann["token"], home=True), 2_600)
    assert found[200] >= 1_900, found
    assert found[429] >= 100, found
    assert (await program.call("GET", "/v1/contacts", token=other["token"], home=True))[0] == 200, "others do not pay for it"


async def test_a_profile_is_changed_a_few_times_a_minute_and_is_short_as_it_is_searched(program: Program):
    """On 79ccbf3 all of these were taken: each made 9,000 letters of 500 signs."""
    ann = await program.registers("ann")

    def changes(text: str) -> Any:
        return program.call("PATCH", "/v1/users/me", {"profile": {"note": text}}, token=ann["token"])

    assert (await changes("\ufdfa" * 500))[0] == 422
    found = await statuses(lambda n: changes(f"note {n}"), 40)
    assert found[429] >= 10, found
    assert found[200] >= 15, found
