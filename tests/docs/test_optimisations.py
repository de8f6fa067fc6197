"""`docs/optimisations.md` is true: each optimisation has a place, a gain and an end. Rule: ask the tree, never a list."""

import re
from pathlib import Path

from tests.docs import tree

PAGE = Path("docs/optimisations.md")
PLACE = re.compile(r"`([\w./-]+/[\w.-]+\.py)`")


def rows() -> list[list[str]]:
    """The cells of each optimisation that is still in the source."""
    lines = re.findall(r"^\| (.+) \|$", tree.text(PAGE), re.MULTILINE)
    cells = [line.split(" | ") for line in lines]
    return [row for row in cells if len(row) == 4 and row[1] != "place"]


def test_every_place_that_the_page_names_exists() -> None:
    for path in PLACE.findall(tree.text(PAGE)):
        assert (tree.ROOT / path).exists(), path


def test_every_optimisation_has_a_place_a_gain_and_an_end() -> None:
    assert len(rows()) > 30
    for what, place, gain, end in rows():
        assert PLACE.findall(place), what
        assert re.search(r"\d|[Dd]ecision|same|above", gain), what
        assert end.strip().endswith("."), what
