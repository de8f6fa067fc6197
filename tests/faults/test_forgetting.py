"""A short piece of `python -m bench.forgetting`: parts of an installation forget while people talk. Rule: no message is lost or doubled."""

from pathlib import Path

import pytest

from bench.forgetting import play
from tests.faults.conftest import SEED
from tests.support.missing import Missing


@pytest.mark.timeout(300)  # three rounds, each of which waits until everything has arrived
async def test_parts_of_an_installation_forget_while_people_talk(tmp_path: Path) -> None:
    """Three deeds, chosen by the seed; the command plays a hundred."""
    print(f"FLASH_TEST_SEED={SEED}")
    try:
        rounds = [one async for one in play(tmp_path, seed=SEED, rounds=3)]
    except Missing as reason:
        pytest.skip(str(reason))
    assert [one.problems for one in rounds] == [[], [], []]
    assert sum(one.accepted for one in rounds) > 0
