"""Which stored fields are a person's own affair. Rule: they leave the audit only where somebody with that right asked for them."""

from collections.abc import Mapping
from typing import Any

from projections.audit.facts import fields_of
from projections.audit.rows import AuditRow

# What people wrote, and what they are called: handles, uids and homes are the audit's own subject.
PERSONAL = frozenset({"text", "note", "name", "alias", "profile", "changes"})
_TOLD_ELSEWHERE = frozenset({"at", "cause", "class_version", "sealed"})  # the row's own, the fields' shape, and what only keys open


def details(row: AuditRow, *, personal: bool = False) -> Mapping[str, Any]:
    """The stored fields of an event beyond those of its row; the personal ones only when asked for."""
    hidden = _TOLD_ELSEWHERE if personal else _TOLD_ELSEWHERE | PERSONAL
    return {name: value for name, value in fields_of(row.data).items() if name not in hidden}
