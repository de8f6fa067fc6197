"""Mailboxes that are full of long texts: what they cost in memory and on disk. What 79ccbf3 did stands with each test;
`PROGRAM_UNDER_TEST` holds another program to them.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Program, running_program

LONGEST = "\U0001f600" * 4_096  # 16 KB
FULL = 1_000
MB = 1_000_000
AT_ONCE = 32


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    async with running_program(tmp_path) as program:
        yield program


async def pair(program: Program, sender: str, recipient: dict[str, Any]) -> dict[str, Any]:
    """A new user who has the recipient as a contact."""
    grant = await program.registers(sender)
    status, _ = await program.call("PUT", f"/v1/contacts/{recipient['uid']}", {}, token=grant["token"], home=True)
    assert status == 201
    return grant


async def sends(program: Program, sender: dict[str, Any], recipient: dict[str, Any], count: int, text: str) -> None:
    """So many popups, which nobody reads."""
    numbers = iter(range(count))

    async def send() -> None:
        for number in numbers:
            body = {"id": f"m{sender['uid']}-{number}", "to": recipient["uid"], "text": text}
            status, answer = await program.call("POST", "/v1/messages", body, token=sender["token"], home=True)
            assert status == 202, answer

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))


async def test_mailboxes_that_are_full_of_long_texts_take_little_memory(program: Program):
    """On 79ccbf3 these three took 97 MB more than the first one, and here 16."""
    recipients = [await program.registers(f"recipient{n}") for n in range(4)]
    senders = [await pair(program, f"sender{n}", recipient) for n, recipient in enumerate(recipients)]
    await sends(program, senders[0], recipients[0], FULL, LONGEST)  # what is bounded elsewhere is full by now
    before = program.memory
    for sender, recipient in zip(senders[1:], recipients[1:], strict=True):
        await sends(program, sender, recipient, FULL, LONGEST)
    assert program.memory - before < 50 * MB


async def test_small_messages_to_a_mailbox_that_is_full_of_long_texts_take_little_disk(program: Program, tmp_path: Path):
    """On 79ccbf3 every 500th of them wrote the whole mailbox, 18 MB."""
    recipient = await program.registers("recipient")
    senders = [await pair(program, f"sender{n}", recipient) for n in range(3)]
    await sends(program, senders[0], recipient, FULL, LONGEST)

    def stored() -> int:
        return sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file() and file.name.startswith("h1"))

    before = stored()
    for sender in senders[1:]:
        await sends(program, sender, recipient, FULL - 1, "x")
    assert stored() - before < 15 * MB
