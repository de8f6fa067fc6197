"""What `deploy/postgres/roles.sh` allows on a real PostgreSQL. Rule: a server reaches its own database and keys, and an audit no keys."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from clients.command_line.running import run
from domain.errors import Unavailable
from flash.cli import people
from servers.encryption.key_tables import keys_seen, open_table
from servers.integrity.verify import verify
from servers.maintenance.backup import back_up_log
from servers.maintenance.store_copy import copy_store
from servers.store.databases import open_event_log
from servers.trust.records import IDENTITY
from tests.servers.homes import Town, shown
from tests.support.postgres import AnyPostgres
from tests.support.postgres_roles import make_roles, move_schema, role_url

SERVERS = ("global", "h1", "h2")
DATABASES = [f"{kind}_{server}" for kind in ("flash", "flash_keys") for server in SERVERS]
OTHERS = [name for name in DATABASES if name != "flash_h1"]
Url = Callable[[str, str], str]


@pytest.fixture(scope="module")
def url(postgres: AnyPostgres) -> Url:
    """The URL of a database, by role and name."""
    if not postgres.can_be_controlled:
        pytest.skip("roles are made in a PostgreSQL of our own only")
    superuser = postgres.new_database()
    make_roles(superuser, *SERVERS)
    make_roles(superuser, *SERVERS)  # what is there stays
    return lambda role, database: role_url(superuser, role, database)


@pytest.fixture
async def town(url: Url, tmp_path: Path) -> AsyncIterator[Town]:
    """Two homes, each with its own databases and roles."""
    town = Town(tmp_path, lambda home: url(f"flash_{home}", f"flash_{home}"))
    town.keys_url = lambda home: url(f"flash_keys_{home}", f"flash_keys_{home}")
    await town.start("h1", "h2")
    yield town
    await town.stop()


async def test_homes_work_with_roles_of_their_own_and_the_audit_reads_them(town: Town, url: Url, tmp_path: Path) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.adds(bob)
    await bob.adds(ann)
    _, window = await bob.opens()
    await ann.sends(bob, "pop over?")
    await shown(window.texts, ["pop over?"])

    audit = url("flash_audit", "flash_h1")
    done = back_up_log("h1", audit, tmp_path / "backup" / "h1.db")
    assert done.events > 0
    report = verify("h1", audit)
    assert report.honest, report
    with psycopg.connect(audit, autocommit=True) as database:
        for attempt in ("DELETE FROM flash_h1.stored_events", "UPDATE flash_h1.lease SET epoch = 0", "CREATE TABLE flash_h1.mine ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.execute(attempt.encode())
    with pytest.raises(Unavailable):
        keys_seen(url("flash_audit", "flash_keys_h1"), audit, "h1")
    with pytest.raises(Unavailable):
        keys_seen("", audit, "h1")


async def test_a_home_moves_out_of_a_shared_database(url: Url, postgres: AnyPostgres, tmp_path: Path) -> None:
    """As docs/postgresql.md says."""
    make_roles(postgres.new_database(), "h4")
    shared, own, keys = postgres.new_database(), url("flash_h4", "flash_h4"), url("flash_keys_h4", "flash_keys_h4")
    town = Town(tmp_path, lambda home: shared)
    await town.start("h4")
    ann, bob = town.person("ann", "h4"), town.person("bob", "h4")
    await ann.adds(bob)
    await bob.adds(ann)
    await ann.sends(bob, "pop over?")
    await town.closes("h4")

    move_schema("flash_keys_h4", shared, keys)
    copy_store("h4", shared, own, tmp_path / "h4", False, lambda line: None)
    town.store_url, town.keys_url = lambda home: own, lambda home: keys
    await town.opens("h4")
    _, window = await bob.opens()
    await shown(window.texts, ["pop over?"])
    await town.stop()


async def test_a_home_whose_keys_lie_elsewhere_is_backed_up_and_restored(
    url: Url, postgres: AnyPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the commands, with `FLASH_KEYS_URL`: events and keys each come back into their own database, and texts are read again."""
    make_roles(postgres.new_database(), "h5")
    store, keys = url("flash_h5", "flash_h5"), url("flash_keys_h5", "flash_keys_h5")
    town = Town(tmp_path, lambda home: store if home == "h5" else f"sqlite:///{tmp_path}/{home}.db")
    town.keys_url = lambda home: keys if home == "h5" else ""
    await town.start("h5", "h6")
    monkeypatch.delenv("FLASH_BROKER_URL", raising=False)
    for name, value in (("FLASH_STORE_URL", store), ("FLASH_KEYS_URL", keys), ("FLASH_DATA_DIR", str(tmp_path))):
        monkeypatch.setenv(name, value)

    async def flash(*arguments: str) -> None:
        assert await asyncio.to_thread(run, people(), ["store", *arguments]) == 0, capsys.readouterr().err

    ann, bob = town.person("ann", "h5"), town.person("bob", "h6")
    await ann.adds(bob)
    await bob.adds(ann)
    await bob.sends(ann, "before")
    await town.settled()
    saved, saved_keys = tmp_path / "saved", tmp_path / "saved-keys"
    await flash("backup", str(saved), "h5", "--keys", str(saved_keys))
    assert not [file for file in saved.rglob("*") if b"before" in file.read_bytes()]
    await bob.sends(ann, "after")
    await town.settled()
    with closing(open_table(keys, store, "h5")) as table:
        known, words = table.records(), table.every_word()
    await town.closes("h5")
    for role in ("flash_h5", "flash_keys_h5"):
        with psycopg.connect(url(role, role)) as database:
            database.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(role)))

    await flash("restore", str(saved), "h5", "--keys", str(saved_keys))
    with psycopg.connect(store) as database, pytest.raises(psycopg.errors.UndefinedTable):
        database.execute("SELECT * FROM flash_keys_h5.keys")
    with closing(open_table(keys, store, "h5")) as table:
        assert table.records()[IDENTITY] == known[IDENTITY]
        assert {ann.uid, bob.uid} <= words.keys()
        assert table.every_word() == words
    await town.opens("h5")
    _, window = await ann.opens()
    await shown(window.texts, ["before", "after"])
    await town.stop()


@pytest.mark.parametrize("database", OTHERS)
def test_h1_gets_into_no_other_database(url: Url, database: str) -> None:
    """So there is no table, schema or advisory lock of another server that it could touch."""
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url("flash_h1", database))


@pytest.mark.parametrize("database", [name for name in DATABASES if name.startswith("flash_keys")])
def test_the_audit_gets_to_no_keys(url: Url, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url("flash_audit", database))


def test_keys_beside_the_events_are_hidden_from_the_audit_too(url: Url) -> None:
    """Somebody who does not set `FLASH_KEYS_URL`."""
    store = url("flash_h2", "flash_h2")
    open_table("", store, "h2").close()
    with psycopg.connect(url("flash_audit", "flash_h2")) as database, pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute("SELECT * FROM flash_keys_h2.keys")


@pytest.fixture
def h2_locked_at_h1(url: Url) -> Iterator[None]:
    """h1 takes, in its own database, the lock with which h2's commits take turns."""
    with psycopg.connect(url("flash_h1", "flash_h1"), autocommit=True) as intruder:
        intruder.execute("SELECT pg_advisory_lock(hashtextextended('flash_h2.stored_events', 0))")
        yield


def test_a_lock_that_h1_holds_stops_nobody_else(url: Url, h2_locked_at_h1: None) -> None:
    store = url("flash_h2", "flash_h2")
    with closing(open_event_log(store, "h2")) as log:
        log.append([("user-1", 1, "x", b"y")])
