"""Tests go through public doors. Rule: patches of our own code and reads of private names are counted, and stay few.

Three counts over every test: patches (`monkeypatch`, `mock.patch`, `setattr`, and assignments that replace an attribute of the program),
reads of private attributes of the program, and patches of the operating system or of Tk, which are fine and listed.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.docs import tree

MOST_PATCHES = 20  # over all tests: more would say that the program lacks a public door
MOST_READS = 20
NAMED_TUPLE = {"_replace", "_asdict", "_fields", "_make"}  # public in spite of their names
OURS = ("domain", "runtime", "projections", "broker", "servers", "edge", "flash", "clients", "flash_sdk", "bench")
# The operating system, the standard library and Tk: replacing them is how a test makes a disk full or a name unknown.
FOREIGN = (
    "os",
    "sys",
    "socket",
    "time",
    "ssl",
    "sqlite3",
    "psycopg",
    "asyncio",
    "tkinter",
    "keyring",
    "gc",
    "shutil",
    "subprocess",
    "platform",
)
PATCHERS = {"setattr", "setitem", "delattr", "delitem"}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(tree.text(path))


def files_of_tests() -> list[Path]:
    return [path for path in tree.files() if path.suffix == ".py" and path.parts[0] == "tests"]


def attributes_set(paths: list[Path]) -> set[str]:
    """The names that classes give their instances: methods, fields, constants of the class, and what `self.name = …` sets.

    A test may set such a name on a fake of its own, `StandInHome.blank_s` for example; that replaces nothing of the program.
    """
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                found |= {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
                found |= {each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)}
                found |= {
                    name.id for each in node.body if isinstance(each, ast.Assign) for name in each.targets if isinstance(name, ast.Name)
                }
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
                found.add(node.attr)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple | ast.Constant):
                names = [target.id for target in node.targets if isinstance(target, ast.Name) and target.id == "__slots__"]
                found |= {str(each.value) for each in ast.walk(node.value) if names and isinstance(each, ast.Constant)}
    return found


@cache
def only_the_programs() -> frozenset[str]:
    """Attributes that the program's objects have and no object of a test has."""
    return frozenset(attributes_set(tree.modules()) - attributes_set(files_of_tests()))


def _names(targets: list[ast.expr]) -> list[ast.Name]:
    return [target for target in targets if isinstance(target, ast.Name)]


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def imported(module: ast.Module) -> dict[str, str]:
    """What each name of a test file stands for, by its import."""
    names: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
    return names


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _target(call: ast.Call, names: dict[str, str]) -> str:
    """What a patching call replaces, as a dotted name where it can be told."""
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Constant):
        return str(first.value)
    if first is None:
        return ""
    return names.get(_root(first), ast.unparse(first))


def _is_patching(function: ast.expr, names: dict[str, str]) -> bool:
    """Whether a call of `function` replaces something."""
    if isinstance(function, ast.Name):
        return function.id in {"setattr", "delattr"}
    by_fixture = isinstance(function, ast.Attribute) and function.attr in PATCHERS and "patch" in _root(function.value).lower()
    return by_fixture or names.get(_root(function), "").startswith("unittest.mock")


def patches(path: Path) -> Iterator[tuple[int, str]]:
    """Where a test replaces something while it runs, and what."""
    module = parsed(path)
    names = imported(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            if _is_patching(node.func, names):
                yield node.lineno, _target(node, names)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and not _is_self(node.value):
            owner = names.get(_root(node.value), "")
            if owner.startswith(OURS) or node.attr in only_the_programs():
                yield node.lineno, f"{owner or ast.unparse(node.value)}.{node.attr}"


def private_reads(path: Path) -> Iterator[tuple[int, str]]:
    """Where a test reads a private attribute that its own objects do not have."""
    own = attributes_set([path])
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and not _is_self(node.value) and node.attr not in own:
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) > 1:
            name = node.args[1]
            if isinstance(name, ast.Constant) and _is_private(str(name.value)):
                yield node.lineno, ast.unparse(node)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLE


def _is_foreign(what: str) -> bool:
    return what.partition(".")[0] in FOREIGN


def listed(kind: str, found: list[str]) -> str:
    per_file = Counter(line.partition(":")[0] for line in found)
    return f"{len(found)} {kind} in {len(per_file)} files:\n" + "\n".join(found)


def test_tests_hardly_ever_replace_a_part_of_the_program() -> None:
    found = [f"{path}:{line}: {what}" for path in files_of_tests() for line, what in patches(path) if not _is_foreign(what)]
    assert len(found) < MOST_PATCHES, listed("patches", found)


def test_tests_hardly_ever_read_private_names() -> None:
    found = [f"{path}:{line}: {what}" for path in files_of_tests() for line, what in private_reads(path)]
    assert len(found) < MOST_READS, listed("private reads", found)
