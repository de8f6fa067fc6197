"""What `docs/security.md` says of a home's rights is what the code gives. Rule: ask the events, not a list."""

import re
from pathlib import Path

from domain.event import STREAM_AND_VERSION
from domain.events.every import every_event
from tests.docs import tree

SECURITY = Path("docs/security.md")


def in_the_clear() -> set[str]:
    """Every field of an event that may leave its store and is not encrypted."""
    return {
        field
        for kind in every_event()
        if not kind.PRIVATE
        for field in kind.__struct_fields__
        if field not in kind.PERSONAL and field not in STREAM_AND_VERSION
    }


def test_the_page_names_every_field_that_a_home_reads_of_others_and_no_other() -> None:
    _, _, rest = tree.text(SECURITY).partition("## What a home reads in the history")
    section, _, _ = rest.partition("\n## ")
    rows = [line.rpartition(" | ") for line in section.splitlines() if line.startswith("| ")]
    named = {field for _, _, fields in rows for field in re.findall(r"`(\w+)`", fields)}
    assert named == in_the_clear()
