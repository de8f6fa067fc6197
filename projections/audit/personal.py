"""Which stored fields are a person's own affair. Rule: they leave the audit only where somebody with that right asked for them."""

from collections.abc import Mapping
from typing import Any

from projections.audit.facts import fields_of
from projections.audit.rows import AuditRow

# What people wrote, and what they are called: handles, uids and homes are the audit's own subject.
PERSONAL = frozenset({"text", "note", "name", "alias", "profile", "changes"})
_TOLD_ELSEWHERE = frozenset({"at", "cause", "class_version", "sealed"})  # the row's own, the fields' shape, and what only keys open


def details(row: AuditRow) -> Mapping[str, Any]:
    """The stored fields of an event beyond those of its row, but nothing personal."""
    return {name: value for name, value in fields_of(row.data).items() if name not in PERSONAL and name not in _TOLD_ELSEWHERE}


def with_personal(opened: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, of fields that somebody with the right to read them has opened."""
    return {name: value for name, value in opened.items() if name not in _TOLD_ELSEWHERE}
