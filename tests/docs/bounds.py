"""The table "Every queue and cache" of `docs/limits.md`. Rule: `python -m tests.docs.bounds` writes it, from what the code says."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

from runtime.bounds import Bound
from tests.docs import tree

PAGE = Path("docs/limits.md")
ROOMS = ("runtime", "broker", "projections", "servers", "edge", "flash")
HEAD = "| queue | holds | filled by | at most | past that | where |\n|---|---|---|---|---|---|\n"
TABLE = re.compile(r"\| queue \| holds \|.*\n(?:\|.*\n)*")


@cache
def declared() -> dict[Path, tuple[Bound, ...]]:
    """The declarations of each module that has one."""
    found: dict[Path, tuple[Bound, ...]] = {}
    for path in tree.modules():
        if path.parts[0] in ROOMS and (names := _assigned(path)):
            module = importlib.import_module(".".join(path.with_suffix("").parts))
            found[path] = tuple(getattr(module, name) for name in names)
    return found


def _assigned(path: Path) -> list[str]:
    """The names that the module gives to declarations."""
    return [
        node.targets[0].id
        for node in ast.parse(tree.text(path)).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name) and node.value.func.id == "Bound"
    ]  # fmt: skip


def table() -> str:
    """The table as it stands in the page: queues by name, those of one name in the order of their modules."""
    rows = [(bound.name, _row(path, bound)) for path, bounds in declared().items() for bound in bounds]
    return HEAD + "".join(row for _, row in sorted(rows))


def _row(path: Path, bound: Bound) -> str:
    size = f"{bound.most_bytes / 1e6:,.1f} MB"
    most = f"{bound.entries:,} · {size}" + (f", each {bound.per}" if bound.per else "") + ("" if bound.bytes else ", estimated")
    return f"| `{bound.name}` | {bound.holds} | {bound.filled_by} | {most} | {bound.past} | `{path}` |\n"


if __name__ == "__main__":
    page = tree.ROOT / PAGE
    page.write_text(TABLE.sub(lambda _: table(), tree.text(PAGE)), encoding="utf-8")
