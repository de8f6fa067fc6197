"""The judgement of a soak: slopes, their intervals, the table and the picture. Rule: known data give known figures."""

import json
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.soak.__main__ import lived
from bench.soak.picture import picture
from bench.soak.play import Minute
from bench.soak.samples import Sample
from bench.soak.slope import Slope, theil_sen
from bench.soak.verdict import MB, verdicts


def minute(number: float, mb: float, descriptors: int = 40, calm: bool = False) -> Minute:
    return Minute(number, 7, [Sample(number, "h1", round(mb * MB), round(mb * MB), descriptors, 4, 1_000)], calm=calm)


def test_sens_own_example_gives_sens_figures() -> None:
    """The seven points of Sen's paper of 1968, whose interval there has 93 %: from 26/7 to 35/8."""
    slope = theil_sen([1, 2, 3, 4, 10, 12, 18], [9, 15, 19, 20, 45, 55, 78], confidence=0.93)
    assert (slope.middle, slope.low, slope.high) == pytest.approx((4, 26 / 7, 35 / 8))


def test_equal_figures_narrow_the_interval() -> None:
    """Three of eight figures are equal: the variance is (8·7·21 - 3·2·11) / 18, its root 7.86, and of 28 slopes the ranks are 6 and 22."""
    xs, ys = [0, 1, 2, 3, 4, 5, 6, 7], [5, 5, 5, 9, 7, 6, 8, 4]
    slopes = sorted((ys[j] - ys[i]) / (j - i) for i in range(8) for j in range(i + 1, 8))
    slope = theil_sen(xs, ys)
    assert (slope.low, slope.high) == (slopes[5], slopes[22])


def test_one_odd_figure_moves_nothing() -> None:
    xs, level = list(range(30)), [100.0 + (number % 3) * 0.1 for number in range(30)]
    odd = [*level[:15], 500.0, *level[16:]]
    assert theil_sen(xs, odd).middle == pytest.approx(0, abs=0.01)
    assert theil_sen(xs, odd).is_level(0.1)


def test_what_grows_is_not_level() -> None:
    assert not theil_sen(range(30), [0.5 * number + (number % 2) for number in range(30)]).is_level(0.1)
    assert theil_sen(range(30), [0.05 * number for number in range(30)]).is_level(0.1)
    assert Slope(-1.0, -2.0, -0.5).is_level(0.1)
    assert not Slope(0.3, 0.05, 0.5).is_level(0.1)


def test_only_the_second_half_counts() -> None:
    fills_up = [minute(number, 50 + 5 * min(number, 10) + number % 2) for number in range(21)]
    found = {verdict.figure: verdict for verdict in verdicts([*fills_up, minute(20.5, 900, calm=True)])}
    assert found["memory, MB"].is_level
    assert found["memory, MB"].cells()[2:5] == ["50.0", "100.0", "100.0"]
    assert found["descriptors"].slope == Slope(0, 0, 0)
    leaks = [minute(number, 50 + number) for number in range(21)]
    assert [verdict.is_level for verdict in verdicts(leaks)] == [False, True]
    assert verdicts(fills_up[:5]) == []


def test_the_picture_is_made_from_the_output_of_a_whole_run(tmp_path: Path) -> None:
    minutes, output = [minute(number, 50 + number) for number in range(4)], tmp_path / "soak.jsonl"
    assert lived(output) == []
    output.write_text("".join(json.dumps(asdict(each)) + "\n" for each in minutes))
    assert lived(output) == [], "a run that did not come to its end begins anew"
    whole = [*minutes, minute(3.5, 54, calm=True)]
    output.write_text("".join(json.dumps(asdict(each)) + "\n" for each in whole))
    assert lived(output) == whole
    drawn = ET.fromstring(picture(lived(output)))  # noqa: S314 - our own picture
    curves = drawn.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len((curve.get("points") or "").split()) for curve in curves] == [4, 4]
