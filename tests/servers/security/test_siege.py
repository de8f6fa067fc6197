"""People sign in while somebody besieges the door. What is counted is whose hashes come first, and who is refused.

What 79ccbf3 did stands with each test; `PROGRAM_UNDER_TEST` holds another program to them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.program import PASSWORD, Program, running_program
from tests.support.waiting import eventually

OFFICE, HOME, ELSEWHERE = "192.0.2.7", "198.51.100.1", "203.0.113.9"


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    async with running_program(tmp_path) as program:
        yield program


@asynccontextmanager
async def guessing(program: Program, guesses: Iterable[tuple[str, str]], refused: int) -> AsyncIterator[list["asyncio.Task[int]"]]:
    """Guesses at these handles from these addresses, all at once, from when so many are refused at the least."""
    tasks = [asyncio.create_task(program.tries(handle, f"guess {n}", address)) for n, (handle, address) in enumerate(guesses)]
    await eventually(lambda: sum(each.done() and each.result() == 429 for each in tasks) >= refused, 60)
    yield tasks
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_right_logins_of_an_office_with_a_guesser_in_it_are_not_refused(program: Program):
    """On 79ccbf3 all of them were, because the guesser had used up what the address may guess."""
    people = [f"person{n}" for n in range(10)]
    for handle in people:
        await program.registers(handle, OFFICE)
    async with guessing(program, ((f"somebody{n % 40}", OFFICE) for n in range(330)), refused=20):
        assert [await program.tries(handle, PASSWORD, OFFICE) for handle in people] == [200] * 10


async def test_a_guesser_with_many_addresses_has_one_bound_and_locks_nobody_out(program: Program):
    """On 79ccbf3 each address had ten guesses of its own, and none of the 150 was refused."""
    await program.registers("ann", HOME)
    async with guessing(program, (("ann", f"203.0.113.{n % 15}") for n in range(150)), refused=40):
        assert await program.tries("ann", PASSWORD, HOME) == 200


async def test_a_network_of_ipv6_counts_as_one_address(program: Program):
    """On 79ccbf3 each of its addresses had ten guesses of its own, and none of the 30 was refused."""
    await program.registers("ann", HOME)
    async with guessing(program, (("ann", f"2001:db8:1:2::{n % 3:x}") for n in range(30)), refused=18):
        assert await program.tries("ann", PASSWORD, "2001:db8:1:3::1") == 200, "another network does not pay for it"


async def hashed_before(program: Program, storm: list["asyncio.Task[int]"], victim: str) -> int:
    """How many of the storm's calls succeed between the victim's login and its answer, once all of them have come."""

    async def all_there() -> bool:
        return await program.metric("flash_connections_open") >= len(storm)

    await eventually(all_there, 60)
    before = [each.done() for each in storm].count(True)
    assert await program.tries(victim, PASSWORD, HOME) == 200
    since = sum(each.done() and each.result() in (200, 201) for each in storm) - before
    for each in storm:
        each.cancel()
    await asyncio.gather(*storm, return_exceptions=True)
    return since


async def test_a_thousand_registrations_at_once_do_not_delay_another_address(program: Program):
    """On 79ccbf3 most of the thousand came before the login."""
    await program.registers("ann", HOME)
    wanted = ({"handle": f"new{n}", "password": PASSWORD, "profile": {}} for n in range(1_000))

    async def registers(body: object) -> int:
        return (await program.call("POST", "/v1/users", body, address=ELSEWHERE))[0]

    assert await hashed_before(program, [asyncio.create_task(registers(body)) for body in wanted], "ann") <= 20


async def test_thirty_accounts_of_one_address_that_sign_in_without_end_delay_no_other_address(program: Program):
    """On 79ccbf3 all that were in flight came before the login."""
    await program.registers("ann", HOME)
    for number in range(30):
        await program.registers(f"busy{number}", OFFICE)
    storm = [asyncio.create_task(program.tries(f"busy{n % 30}", PASSWORD, OFFICE)) for n in range(300)]
    assert await hashed_before(program, storm, "ann") <= 20
