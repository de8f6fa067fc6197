"""Which stored fields are personal. Rule: they leave the audit only where somebody asks for them who has the right to read them."""

from collections.abc import Mapping
from typing import Any

from projections.audit.facts import fields_of
from projections.audit.rows import AuditRow

# What people wrote, and their names. Handles, uids and homes are not among them, because the audit is about them.
PERSONAL = frozenset({"text", "note", "name", "alias", "profile", "changes", "address"})
_TOLD_ELSEWHERE = frozenset(
    {"at", "cause", "class_version", "sealed"}
)  # two stand in the row already, one is about the fields' shape, and one is encrypted


def details(row: AuditRow) -> Mapping[str, Any]:
    """The stored fields of an event that its row does not have, without the personal ones."""
    return {name: value for name, value in fields_of(row.data).items() if name not in PERSONAL and name not in _TOLD_ELSEWHERE}


def with_personal(opened: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same with the personal ones. `opened`: decrypted fields, for somebody with the right to read them."""
    return {name: value for name, value in opened.items() if name not in _TOLD_ELSEWHERE}
