"""Which libraries a room may use, where a list of forbidden ones (pyproject.toml, `make check`) would never be complete."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def imported(folder: Path) -> dict[str, set[str]]:
    """The top-level names each module under `folder` imports, by the module's path; the standard library's left out."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
        found[str(path.relative_to(ROOT))] = names - sys.stdlib_module_names
    return found


def strangers(folder: Path, allowed: set[str]) -> dict[str, set[str]]:
    modules = imported(folder)
    assert modules, f"nothing found in {folder}"
    return {path: names - allowed for path, names in modules.items() if names - allowed}


def test_the_domain_needs_only_the_standard_library_eventsourcing_and_msgspec() -> None:
    assert not strangers(ROOT / "domain", {"domain", "eventsourcing", "msgspec"})


def test_the_sdk_needs_only_what_it_declares() -> None:
    project = tomllib.loads((ROOT / "clients/sdk/pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = project["dependencies"] + [line for extra in project.get("optional-dependencies", {}).values() for line in extra]
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0].replace("-", "_") for line in declared}
    assert not strangers(ROOT / "clients/sdk/flash_sdk", names | {"flash_sdk"})
