"""What a test wants said at the end of the run: figures, verdicts, tables. Rule: it travels with the test's report, from whichever process.

tell(request.node, "faults", "…: 0 lost, 0 doubled")
"""

from collections.abc import Sequence
from typing import Any

import pytest

KEY = "told"


def tell(node: pytest.Item, section: str, line: str) -> None:
    """One line for that section of the summary; printed at once too, so that it stands beside a failure."""
    print(line)
    node.user_properties.append((KEY, (section, line)))


def sections(properties: Sequence[tuple[str, Any]]) -> dict[str, list[str]]:
    """What was told, by section, in order."""
    found: dict[str, list[str]] = {}
    for key, value in properties:
        if key == KEY:
            section, line = value
            found.setdefault(section, []).append(line)
    return found
