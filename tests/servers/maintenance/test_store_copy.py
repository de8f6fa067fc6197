"""Moving a server between databases: there and back it is the same log, and the next event comes after it."""

import fcntl
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from eventsourcing.persistence import Tracking

from domain.errors import Unavailable
from servers.encryption.key_tables import open_table
from servers.maintenance.errors import NotCopied
from servers.maintenance.store_copy import copy_store
from servers.store.event_store import Store
from servers.store.log.event_log import Conflicted
from servers.store.log.positions import RELAY
from servers.trust.records import BOX_KEYS, IDENTITY
from servers.trust.trust import Trust
from tests.servers.stores import HOME, adopted, put, sent
from tests.support.postgres import connected
from tests.support.waiting import wait_until

WORDS = {901: b"what the Global Server signed", 902: b"of another user"}
KEYS = {901: b"k" * 32, -902: b"l" * 32, 903: None}
FLASH = str(Path(sys.executable).with_name("flash"))


@pytest.fixture
def original(tmp_path):
    """A home's SQLite file: a gap in its positions, three streams, positions of others."""
    url = f"sqlite:///{tmp_path}/h1.db"
    store = Store(url, "h1", HOME)
    put(store, "user-1", 0, [adopted(1), *(sent(n) for n in range(50))], [Tracking("h2", 7), Tracking(RELAY, 30)])
    with pytest.raises(Conflicted):
        put(store, "user-1", 0, [adopted(2)])
    put(store, "user-2", 0, [adopted(3)], [Tracking("global", 2)])
    store.put_snapshot(*store.packed_snapshot(store.load("user-1")))
    store.close()
    keys = open_table("", url, "h1")
    keys.add(KEYS)
    keys.add_words(WORDS)
    before = Trust("h1", keys)
    keys.close()
    assert before.identity.public
    return url


def look(url):
    """All that a server would see."""
    store = Store(url, "h1", HOME)
    try:
        seen = store.read(0, 1_000), [store.tracked(name) for name in ("h2", "global", RELAY)], store.load("user-1").to_snapshot()
    finally:
        store.close()
    keys = open_table("", url, "h1")
    try:
        return *seen, keys.everything(), keys.records(), keys.every_word()
    finally:
        keys.close()


def test_there_and_back_it_is_the_same(original, postgres, tmp_path):
    database, back = postgres.new_database(), f"sqlite:///{tmp_path}/back/h1.db"
    before = look(original)
    copied = copy_store("h1", original, database, tmp_path / "h1", True, print)
    assert (copied.events, copied.last_position, copied.trackings, copied.keys) == (52, before[0][-1].position, 3, len(before[3]))
    assert KEYS.items() <= before[3].items()
    assert {IDENTITY, BOX_KEYS} <= before[4].keys()
    assert before[5] == WORDS
    assert look(database) == before
    copy_store("h1", database, back, tmp_path / "h1", True, print)
    assert look(back) == before == look(original)
    for url in (database, back):
        store = Store(url, "h1", HOME)
        assert put(store, "user-2", 1, [adopted(4)])[0].position == copied.last_position + 1
        store.close()


def test_a_target_that_holds_something_is_refused(original, postgres, tmp_path):
    database = postgres.new_database()
    store = Store(database, "h1", HOME)
    put(store, "user-9", 0, [adopted(9)])
    store.close()
    with pytest.raises(NotCopied, match="not empty"):
        copy_store("h1", original, database, tmp_path / "h1", True, print)
    store = Store(database, "h1", HOME)
    assert len(store.read(0, 100)) == 1
    store.close()


def test_a_server_that_runs_is_left_alone(original, postgres, tmp_path):
    database = postgres.new_database()
    copy_store("h1", original, database, tmp_path / "h1", True, print)
    running = Store(database, "h1", HOME)
    with pytest.raises(NotCopied, match="in use by flash h1"):
        copy_store("h1", database, "sqlite:///" + original.removeprefix("sqlite:///") + ".other", tmp_path / "h1", True, print)
    running.close()
    with Path(original.removeprefix("sqlite:///")).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a home does
        with pytest.raises(NotCopied, match="in use"):
            copy_store("h1", original, postgres.new_database(), tmp_path / "h1", True, print)


def test_a_store_that_somebody_else_has_locked_is_refused_and_let_go_of(original, postgres, tmp_path):
    database = postgres.new_database()
    Store(database, "h1", HOME).close()
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE flash_h1.stored_events IN EXCLUSIVE MODE")
        with pytest.raises(Unavailable, match="could not obtain lock") as refusal:
            copy_store("h1", original, database, tmp_path / "h1", True, print)
        wait_until(lambda: connected(database) == [""], 5, f"only the other one is connected after {refusal}")


def test_the_command_says_in_one_line_what_it_did_or_why_not(original, postgres):
    command = [FLASH, "store", "copy", "h1", original, postgres.new_database()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("52 events up to position ")
    assert done.stdout.endswith("compared, equal\n")
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "flash: the schema of h1 in PostgreSQL is not empty\n"


def test_a_copy_that_differs_is_not_made(original, postgres, tmp_path):
    database = postgres.new_database()
    Store(database, "h1", HOME).close()
    with psycopg.connect(database) as other:
        other.execute("CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        other.execute("CREATE TRIGGER lossy BEFORE INSERT ON flash_h1.stored_events FOR EACH ROW EXECUTE FUNCTION lose()")
    with pytest.raises(NotCopied, match="differs"):
        copy_store("h1", original, database, tmp_path / "h1", True, print)
    assert look(database)[0] == []
