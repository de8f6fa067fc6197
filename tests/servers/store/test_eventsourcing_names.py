"""Flash uses public names of the eventsourcing library only, and this is their list: an upgrade that changes one of them fails here."""

import ast
import inspect
from typing import Any

from eventsourcing import persistence, postgres, sqlite, utils

from tests.docs import tree

USED = {
    "eventsourcing.persistence.PersistenceError": None,
    "eventsourcing.persistence.Tracking": "(application_name, notification_id)",
    "eventsourcing.postgres.PostgresFactory": "(env)",
    "eventsourcing.sqlite.SQLiteFactory": "(env)",
    "eventsourcing.utils.TopicError": None,
    "eventsourcing.utils.register_topic": "(topic, obj)",
    "eventsourcing.utils.resolve_topic": "(topic)",
}
METHODS = {"process_recorder": "(self)", "aggregate_recorder": "(self, purpose)", "close": "(self)"}
SETTINGS = {  # of the factories, as they read them from `env`
    sqlite.SQLiteFactory: {"SQLITE_DBNAME", "ORIGINATOR_ID_TYPE"},
    postgres.PostgresFactory: {
        "POSTGRES_DBNAME", "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_SCHEMA", "POSTGRES_POOL_SIZE",
        "POSTGRES_MAX_OVERFLOW", "ORIGINATOR_ID_TYPE",
    },
}  # fmt: skip


def parameters(called: Any) -> str:
    """The names of the parameters, without types and defaults."""
    return f"({', '.join(inspect.signature(called).parameters)})"


def test_the_names_that_our_code_imports_are_these_and_none_is_private() -> None:
    imported: set[str] = set()
    for path in tree.modules():
        for node in ast.walk(ast.parse(tree.text(path))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "eventsourcing":
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                assert not any(alias.name.partition(".")[0] == "eventsourcing" for alias in node.names), path
    assert imported == set(USED)
    assert not [name for name in imported if "._" in name]


def test_each_of_them_is_called_as_it_is_today() -> None:
    modules = {module.__name__: module for module in (persistence, postgres, sqlite, utils)}
    found = {name: getattr(modules[name.rpartition(".")[0]], name.rpartition(".")[2]) for name in USED}
    assert {name: parameters(found[name]) for name, signature in USED.items() if signature} == {n: s for n, s in USED.items() if s}
    for factory, settings in SETTINGS.items():
        assert {name: parameters(getattr(factory, name)) for name in METHODS} == METHODS
        constants = {value for value in vars(factory).values() if isinstance(value, str)}
        constants |= {value for base in factory.__mro__ for value in vars(base).values() if isinstance(value, str)}
        assert settings <= constants


def test_no_class_of_ours_extends_one_of_the_librarys() -> None:
    """A class that extends another one depends on names that nobody listed."""
    librarys = {name.rpartition(".")[2] for name in USED}
    for path in tree.modules():
        for node in ast.walk(ast.parse(tree.text(path))):
            if isinstance(node, ast.ClassDef):
                assert not librarys & {base.id for base in node.bases if isinstance(base, ast.Name)}, path
