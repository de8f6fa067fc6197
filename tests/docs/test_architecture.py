"""`docs/architecture.md` is true: its files and tests exist, and it shows every room. Rule: ask the tree, never a list."""

import re
from pathlib import Path

import pytest

from tests.docs import tree

PAGE = Path("docs/architecture.md")
PATH = re.compile(r"`([\w./-]+\.(?:py|md|sh|yml|toml)|[\w./-]+/)(?:::(\w+))?`")
ROOMS = ("runtime", "domain", "projections", "broker", "servers", "edge", "flash", "clients")
WAYS = ("The way of one popup", "The way of one login", "The way of one audit question", "The way of one field of the contact list")


def section(title: str) -> str:
    """The text below one heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", tree.text(PAGE), re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {title!r}"
    return found[1]


def test_every_file_and_every_test_that_the_page_names_exists() -> None:
    named = PATH.findall(tree.text(PAGE))
    assert len(named) > 60
    for path, test in named:
        assert (tree.ROOT / path).exists(), path
        assert not test or re.search(rf"^(async )?def {test}\b", tree.text(Path(path)), re.MULTILINE), f"{path}::{test}"


def test_every_room_is_in_the_picture_and_no_other() -> None:
    folders = {f"{path.parent.as_posix()}/" for path in tree.modules() if path.name == "__init__.py" and path.parts[0] in ROOMS}
    assert {path for path, _ in PATH.findall(section("The rooms")) if path.endswith("/")} == folders


@pytest.mark.parametrize("title", WAYS)
def test_a_way_is_a_list_of_files_with_one_sentence_each(title: str) -> None:
    steps = re.findall(r"^\d+\. (.*)$", section(title), re.MULTILINE)
    assert len(steps) > 3
    for step in steps:
        assert PATH.match(step), step
        assert step.endswith("."), step


def test_every_promise_has_a_test_that_would_fail() -> None:
    promises = re.findall(r"^\| \d+ \|(.*)\|$", section("The promises"), re.MULTILINE)
    assert len(promises) > 7
    for promise in promises:
        assert any(test for _, test in PATH.findall(promise)), promise


def test_every_word_of_the_glossary_is_explained_once() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", section("The glossary"), re.MULTILINE)
    assert len(words) > 25
    assert len(words) == len(set(words))
