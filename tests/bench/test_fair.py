"""A short row of the bench of fairness: the town is built, the attack takes place, and the victims are served."""

import sys

from bench.fair.__main__ import Row, play
from bench.fair.town import build

SOME = 10  # people in the crowd


async def test_an_office_with_a_guesser_in_it_is_a_row(tmp_path):
    built = await build(tmp_path, sys.executable, crowd=SOME)
    row = await play("office", built, sys.executable, length=0.05)
    assert row.answers["office"].keys() & {"401", "429"}
    assert (row.refused, len(row.p99), len(row.login)) == (0, 3, 3)
    assert min(row.p50) > 0


def test_a_row_names_each_bound_that_it_missed():
    quiet = Row("contacts", [1, 1, 1], [2, 25, 2], [30, 500, 30], 0, 0.0, 100.0, 20.0)
    assert quiet.missed == []
    bad = Row("contacts", [1, 1, 1], [2, 26.1, 2], [30, 501, 30], 1, 0.0, 101.0, 21.0)
    assert bad.missed == ["p99", "login", "refused", "memory", "kept"]
    late_machine = Row("contacts", [1, 1, 1], [2, 40, 2], [30, 500, 30], 0, 15.0)
    assert late_machine.missed == []
    together = Row("all", [1, 1, 1], [2, 120, 2], [30, 500, 30])
    assert together.missed == []
