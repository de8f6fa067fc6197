"""What a running program keeps of states on disk. What 79ccbf3 did stands with each test; `PROGRAM_UNDER_TEST` holds another to them."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.program import Program, running_program
from tests.support.waiting import eventually

LONG = "\U0001f600" * 4_096  # the longest text, in 16 KB
MAILBOX = "mailbox-1"


def snapshots(directory: Path) -> dict[str, tuple[int, int]]:
    """How many snapshots each stream of h1 has, and their bytes."""
    file = directory / "data" / "h1.db"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        query = "SELECT originator_id, count(*), sum(length(state)) FROM stored_snapshots GROUP BY 1"
        return {stream: (count, size) for stream, count, size in database.execute(query)}


async def send(program: Program, token: str, texts: list[str], first: int) -> None:
    """Send them to the first user, fifty at a time."""
    for start in range(0, len(texts), 50):
        bodies = [{"id": f"m{first + n}", "to": 1, "text": text} for n, text in enumerate(texts[start : start + 50], start)]
        answers = await asyncio.gather(*(program.call("POST", "/v1/messages", body, token=token, home=True) for body in bodies))
        assert {status for status, _ in answers} == {202}


async def settled(program: Program) -> None:
    """No snapshot waits to be stored."""

    async def nothing_waits() -> bool:
        return await program.metric('flash_queue_entries{queue="snapshots"}', home=True) == 0

    await eventually(nothing_waits, 30)


async def test_short_messages_do_not_write_the_long_ones_again(tmp_path: Path):
    """On 79ccbf3 every 500th event of the mailbox wrote all that waited: two snapshots of 3.4 MB here, and both stayed."""
    async with running_program(tmp_path) as program:
        bob, ann, carol = [await program.registers(handle) for handle in ("bob", "ann", "carol")]
        assert bob["uid"] == 1
        for sender in (ann, carol):
            assert (await program.call("PUT", "/v1/contacts/1", {}, token=sender["token"], home=True))[0] == 201
        await send(program, ann["token"], [LONG] * 200, 0)
        await settled(program)
        before, size = snapshots(tmp_path).get(MAILBOX, (0, 0))
        for sender in (ann, carol):
            await send(program, sender["token"], ["x"] * 410, 1_000)
        await settled(program)
        found = snapshots(tmp_path)
    print(f"{MAILBOX}: {before} snapshots of {size} bytes, and then {found.get(MAILBOX)}")
    assert all(count == 1 for count, _ in found.values()), found
    assert found[MAILBOX][1] - size < 500_000
