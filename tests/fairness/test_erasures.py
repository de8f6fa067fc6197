"""Nobody registers and erases while many people have a message that they did not acknowledge. 79ccbf3 does not count what it loads."""

import pytest

from tests.fairness.village import PLAIN, Village, many
from tests.support.program import PASSWORD

pytestmark = pytest.mark.timeout(300)  # whoever comes first makes the village
ERASED = 2  # whose own states are read


async def test_an_erasure_makes_nobody_else_s_state_be_read_again(village: Village) -> None:
    """On 79ccbf3 each erasure cleared every state that was cached: then all of them were read from the disk again."""
    program, plain = village.program, village.villagers[PLAIN]

    async def all_are_sent(name: str) -> float:
        assert set(await many(village.sends(plain, each, f"{name}{number}") for number, each in enumerate(village.crowd))) == {202}
        return await program.metric("flash_states_missed_total", home=True)

    before = await all_are_sent("first")
    assert before >= len(village.crowd)
    for number in range(ERASED):
        grant = await program.registers(f"shortlived{number}")
        status, _ = await program.call("POST", "/v1/users/me/erase", {"password": PASSWORD}, token=grant["token"])
        assert status in (200, 202, 204)
        missed = await all_are_sent(f"after{number}")
    assert missed - before < 5 * ERASED
