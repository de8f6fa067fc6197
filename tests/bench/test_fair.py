"""Short rows of the bench of fairness. Rule: the attack takes place, and the victims are served."""

import sys

import pytest

from bench.fair.__main__ import play
from bench.fair.homes.__main__ import play as play_home
from bench.fair.homes.hostile import NAME
from bench.fair.rows import Row
from bench.fair.town import build

SOME = 10  # people in the crowd


async def test_an_office_with_a_guesser_in_it_is_a_row(tmp_path):
    built = await build(tmp_path, sys.executable, crowd=SOME)
    row = await play("office", built, sys.executable, length=0.05)
    assert row.missed.count("no attack") == 0
    assert (row.refused, len(row.p99), len(row.login)) == (0, 3, 3)
    assert min(row.p50) > 0


async def test_a_home_that_unmakes_its_queue_is_a_row(tmp_path, rabbitmq):
    if not rabbitmq.can_be_controlled:
        pytest.skip("the users of the given RabbitMQ are not ours to make")
    row = await play_home("home-queue", tmp_path, rabbitmq, sys.executable, length=0.05)
    done = row.answers[NAME]
    assert min(done["deleted"], done["limited"], done["popup 202"]) > 0, "it may do it, and others send to it"
    assert (row.refused, len(row.p99), len(row.login)) == (0, 3, 3)
    assert min(row.p50) > 0


def test_what_is_timed_besides_popups_has_the_same_bound():
    row = Row("home-topics", [1, 1, 1], [2, 25, 2], [30, 500, 30], timed={"audit": [1.0, 3.03]})
    assert row.missed == ["audit"]
    row.timed = {"audit": [1.0, 3.02]}
    assert row.missed == []
    assert "audit 1 3.02 s" in row.cells()


def test_a_row_names_each_bound_that_it_missed():
    quiet = Row("contacts", [1, 1, 1], [2, 25, 2], [30, 500, 30], 0, 0.0, 100.0, 20.0)
    assert quiet.missed == []
    bad = Row("contacts", [1, 1, 1], [2, 26.1, 2], [30, 501, 30], 1, 0.0, 101.0, 21.0)
    assert bad.missed == ["p99", "login", "refused", "memory", "kept"]
    idle = Row("mailboxes", [1, 1, 1], [2, 25, 2], [30, 500, 30], answers={"mailboxes": {"413": 8_561}}, told={"mailboxes": "202"})
    assert idle.missed == ["no attack"]
    late_machine = Row("contacts", [1, 1, 1], [2, 40, 2], [30, 500, 30], 0, 15.0)
    assert late_machine.missed == []
    together = Row("all", [1, 1, 1], [2, 120, 2], [30, 500, 30])
    assert together.missed == []
