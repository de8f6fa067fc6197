"""Nobody registers and erases while many people have a message that they did not acknowledge. What 79ccbf3 did stands with the test."""

from pathlib import Path

import pytest

from tests.fairness.village import PLAIN, Village, many
from tests.support.program import PASSWORD

pytestmark = pytest.mark.timeout(300)  # whoever comes first makes the village


def read_by(pid: int) -> int:
    """How many bytes the process has read, out of files and connections."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


async def test_an_erasure_makes_nobody_else_s_state_be_read_again(village: Village) -> None:
    """On 79ccbf3 each erasure cleared every state that was cached: then all of them were read from the disk again."""
    program, plain = village.program, village.villagers[PLAIN]
    assert set(await many(village.sends(plain, each, f"first{number}") for number, each in enumerate(village.crowd))) == {202}

    async def all_are_sent(name: str) -> int:
        before = read_by(program.pid)
        assert set(await many(village.sends(plain, each, f"{name}{number}") for number, each in enumerate(village.crowd))) == {202}
        return read_by(program.pid) - before

    quiet = await all_are_sent("second")
    for number in range(2):
        grant = await program.registers(f"shortlived{number}")
        status, _ = await program.call("POST", "/v1/users/me/erase", {"password": PASSWORD}, token=grant["token"])
        assert status in (200, 202, 204)
    beside = await all_are_sent("third")
    assert beside < quiet + 100_000
