"""The rules of CONTRIBUTING.md that a machine can check. Rule: each failure names the file."""

import ast
import re
from pathlib import Path

from tests.docs import tree

MAX_LINES = 300  # what one reads in one sitting; see CONTRIBUTING.md
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}
# Spelled in pieces, so that this file does not match itself.
HOME_PATH = re.compile(r"(?<![\w.~}])/(?:" + "|".join(["home", "Users"]) + r")/[a-z]\w*/|(?<![\w.~}])/" + r"root/\w")
LOCKS = Path("requirements")


def test_every_module_says_what_lives_there() -> None:
    assert not [str(path) for path in tree.modules() if not ast.get_docstring(ast.parse(tree.text(path)))]


def test_no_module_is_longer_than_a_sitting() -> None:
    lengths = {str(path): len(tree.text(path).splitlines()) for path in tree.modules()}
    assert not {path: lines for path, lines in lengths.items() if lines > MAX_LINES}


def test_every_name_says_what_is_inside() -> None:
    assert not [str(path) for path in tree.files() if {Path(part).stem for part in path.parts} & NAMES_THAT_SAY_NOTHING]


def test_no_file_knows_somebodys_machine() -> None:
    found = {str(path): match.group() for path in tree.files() if (match := HOME_PATH.search(tree.text(path)))}
    assert not found


def test_the_locks_name_no_index_and_hash_everything() -> None:
    locks = [path for path in tree.files() if path.parts[0] == LOCKS.name]
    assert locks
    for lock in locks:
        content = tree.text(lock)
        assert "://" not in content, lock
        assert not re.search(r"^--?(i|f|index|extra-index|find-links)", content, re.MULTILINE), lock
        pinned = re.findall(r"^([a-z0-9][^\s=]*)(==\S+)?(.*)$", content, re.MULTILINE)
        assert pinned, lock
        assert not [name for name, version, rest in pinned if not version or not rest.endswith("\\")], lock
