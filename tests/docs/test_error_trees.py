"""The drawn trees of errors are the classes, and their numbers are the table of status codes. Rule: read both, and name what differs."""

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import domain.errors
from domain.errors import FlashError, Rejected
from edge.http import problems
from edge.http.problems import STATUS, status_of
from tests.docs import tree

ROOMS = ("domain", "projections", "broker", "runtime", "servers", "edge", "flash")
BRANCH = re.compile(r"^((?:│   |    )*)[├└]── (\w+)(?: +(\d{3})\b)?", re.MULTILINE)
HTTP = (Path("domain/errors.py"), Path("edge/http/problems.py"))  # where each error has a status


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in tree.modules():
        if path.parts[0] in ROOMS:
            yield path, ast.parse(tree.text(path))


def drawn(path: Path, module: ast.Module) -> Iterator[tuple[str, str, int | None]]:
    """Each branch that a module's docstring draws: the class, the class above it, its number."""
    above: list[str] = []
    for line in (ast.get_docstring(module) or "").splitlines():
        branch = BRANCH.match(line)
        if branch is None:
            above = [line.split()[0]] if line.strip() else []
            continue
        depth = len(branch[1]) // 4 + 1
        assert len(above) >= depth, f"{path}: {line}"
        above[depth:] = [branch[2]]
        yield branch[2], above[depth - 1], int(branch[3]) if branch[3] else None


def classes() -> Iterator[tuple[str, str, str]]:
    """Each error class that our rooms define: room, name, base."""
    bases = [
        (path.parts[0], node.name, base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", ""))
        for path, module in sources()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    ]
    errors = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)}
    for _ in range(10):  # as deep as a tree may be
        errors |= {name for _, name, base in bases if base in errors}
    yield from (each for each in bases if each[2] in errors)


def test_every_error_is_drawn_in_its_room_below_its_base() -> None:
    trees = {(path.parts[0], name, above) for path, module in sources() for name, above, _ in drawn(path, module)}
    assert trees == {each for each in classes() if each[1] != FlashError.__name__}


def test_the_numbers_are_the_status_codes() -> None:
    kinds = {name: kind for module in (domain.errors, problems) for name, kind in vars(module).items() if isinstance(kind, type)}
    numbers = {name: number for path, module in sources() if path in HTTP for name, _, number in drawn(path, module) if number}
    errors = {name: status_of(kind) for name, kind in kinds.items() if issubclass(kind, FlashError)}
    assert numbers == {name: status for name, status in errors.items() if name not in (FlashError.__name__, Rejected.__name__)}
    assert set(STATUS) <= set(kinds.values())


def test_every_code_is_said_by_one_error_and_its_kin() -> None:
    """A program tells errors apart by `code`, so two that share one are told apart by nobody."""
    kinds = [kind for module in (domain.errors, problems) for kind in vars(module).values() if isinstance(kind, type)]
    first: dict[str, type[FlashError]] = {}
    for kind in kinds:
        if issubclass(kind, FlashError):
            assert issubclass(kind, first.setdefault(kind.code, kind)), kind
