"""The pages `docs/openapi/*.json`: what the servers say at `/openapi.json`. Rule: `python -m tests.docs.openapi` writes them.

They are for reading and for generators of clients; a test compares them with the code.
"""

import json
from pathlib import Path

from edge.assembly import global_edge, home_edge
from edge.http.openapi import describe
from tests.docs import tree
from tests.edge.stand_ins import StandInGlobal, StandInHome, Tokens


def documents() -> dict[Path, str]:
    """Each page's path in the repository, and what it must say."""
    edges = {"global": global_edge(StandInGlobal(), Tokens()), "home": home_edge(StandInHome(), Tokens())}
    return {
        Path(f"docs/openapi/{name}.json"): json.dumps(describe(edge.title, edge.routes), indent=1, ensure_ascii=False) + "\n"
        for name, edge in edges.items()
    }


if __name__ == "__main__":
    for path, text in documents().items():
        (tree.ROOT / path).parent.mkdir(exist_ok=True)
        (tree.ROOT / path).write_text(text, encoding="utf-8")
