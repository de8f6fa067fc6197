"""A short piece of `python -m bench.forgetting`: parts of an installation forget while people talk. Rule: no message is lost or doubled."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.forgetting import BadChoice, Round, chosen, deed_of, go_on, play, played
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


NAMES = ["a home is killed", "the history is deleted", "the presence log is deleted"]


def test_each_kind_comes_equally_often_and_the_seed_gives_the_order() -> None:
    deeds = [deed_of(number, 7, NAMES) for number in range(30)]
    assert Counter(deeds) == dict.fromkeys(NAMES, 10)
    assert deeds == [deed_of(number, 7, NAMES) for number in range(30)]
    assert deeds != [deed_of(number, 8, NAMES) for number in range(30)]


def test_kinds_are_chosen_by_words_of_their_names() -> None:
    assert chosen(NAMES, []) == NAMES
    assert chosen(NAMES, ["is deleted"]) == NAMES[1:]
    with pytest.raises(BadChoice, match="no deed is called 'flood'"):
        chosen(NAMES, ["history", "flood"])


def test_a_second_call_goes_on_as_the_first_one_began(tmp_path: Path) -> None:
    output = tmp_path / "rounds.jsonl"
    assert (played(output), go_on([], 7, ["history"])) == ([], (7, ["history"]))
    output.write_text("".join(json.dumps(asdict(Round(number, NAMES[1], 7, ["history"]))) + "\n" for number in range(2)))
    done = played(output)
    assert len(done) == 2
    assert go_on(done, None, []) == go_on(done, 7, ["history"]) == (7, ["history"])
    for seed, kinds in ((8, []), (7, ["killed"])):
        with pytest.raises(BadChoice, match="name another file"):
            go_on(done, seed, kinds)
