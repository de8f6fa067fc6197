"""Each folder of the program is a room with one rule, and imports in it go downwards only. Rule: the tree, `pyproject.toml` and each
folder's docstring must say the same."""

import ast
import graphlib
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

import grimp
import pytest

from tests.docs import tree

ROOMS = ("domain", "runtime", "projections", "broker", "servers", "edge", "flash", "clients", "flash_sdk")
FEW = 2  # a folder of so few modules says why it is a folder


@cache
def graph() -> grimp.ImportGraph:
    """Every import between modules of the program, those for type checking included."""
    return grimp.build_graph(*ROOMS, cache_dir=None, exclude_type_checking_imports=False)


def folders() -> dict[str, Path]:
    """Every package of the program: its dotted name and its `__init__.py`."""
    found = {}
    for path in tree.modules():
        if path.name == "__init__.py" and path.parts[0] in ROOMS:
            found[".".join(path.parent.parts).replace("clients.sdk.", "")] = path
    return found


def modules_in(folder: Path) -> list[Path]:
    return [path for path in tree.modules() if path.parent == folder and path.name not in {"__init__.py", "__main__.py"}]


@pytest.mark.parametrize("init", sorted(folders().values()), ids=str)
def test_every_folder_says_its_rule(init: Path) -> None:
    docstring = ast.get_docstring(ast.parse(tree.text(init))) or ""
    assert "Rule: " in docstring, f"{init}: expected `What lives here. Rule: its one rule.`"
    below = [path for path in folders().values() if path.parent.parent == init.parent]
    if not below and len(modules_in(init.parent)) <= FEW:
        assert "because" in docstring, f"{init}: a folder of {FEW} files or fewer says why it is a folder"


@pytest.mark.parametrize("room", [*(room for room in ROOMS if room != "clients"), "clients.tk", "clients.terminal"])
def test_every_room_has_one_contract_that_orders_all_that_is_in_it(room: str) -> None:
    contracts = tomllib.loads(tree.text(Path("pyproject.toml")))["tool"]["importlinter"]["contracts"]
    ordering = [contract for contract in contracts if contract["type"] == "layers" and contract.get("containers") == [room]]
    assert len(ordering) == 1, f"{room}: expected one contract of type layers with containers = [{room!r}]"
    assert ordering[0]["id"] == room
    assert ordering[0].get("exhaustive"), f"{room}: expected exhaustive = true, so that no module escapes the order"


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = {module: graph().find_modules_directly_imported_by(module) for module in graph().modules}
    assert not circle({module: {each for each in found if not _is_package_of(each, module)} for module, found in imports.items()})


def test_no_folders_import_each_other_in_a_circle() -> None:
    names = folders()
    imports: dict[str, set[str]] = defaultdict(set)
    for module in graph().modules:
        for imported in graph().find_modules_directly_imported_by(module):
            here, there = (name if name in names else name.rpartition(".")[0] for name in (module, imported))
            if here != there:
                imports[here].add(there)
    assert not circle(imports)


def _is_package_of(package: str, module: str) -> bool:
    return module.startswith(f"{package}.")


def circle(imports: dict[str, set[str]]) -> list[str]:
    """The names of one circle, or nothing."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_the_image_is_built_from_every_room() -> None:
    """A room that `.dockerignore` forgets is missing in the image, and its servers do not start."""
    let_in = {line.removeprefix("!") for line in tree.text(Path(".dockerignore")).splitlines() if line.startswith("!")}
    rooms = {room for room in ROOMS if room != "flash_sdk"}  # the SDK lies below clients/
    assert rooms <= let_in
    packaged = tomllib.loads(tree.text(Path("pyproject.toml")))["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {f"{room}*" for room in rooms} == set(packaged)
