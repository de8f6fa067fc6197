"""What may be forged in the past by somebody who may write one place only. Each test names what 79ccbf3 said: "honest"."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgpack
import pytest

from projections.audit.clocks import SKEW_S
from servers.encryption.key_store import KeyStore
from servers.encryption.key_tables import SqliteKeys
from servers.encryption.mac import MARK, SIZE, proven
from servers.maintenance.clock_correction import accept_clock
from servers.maintenance.errors import NotCorrected
from servers.store.event_store import snapshot_place
from servers.writing.projector import read_checkpoint
from tests.servers.genuine import Forger, check, found, move_times_in_history
from tests.servers.homes import START, Town

SENT = "user.message_sent"
LOGGED_OFF = {"session": "s", "reason": "logoff", "handle": "bob", "status": "offline", "previous": "online", "note": ""}


def keys(copy: Path, statement: str) -> None:
    """Change the keys of h1 as their administrator could."""
    with closing(sqlite3.connect(copy / "keys" / "h1.db")) as database, database:
        assert database.execute(statement).rowcount, "nothing was tampered with"


def test_a_genuine_log_is_honest_also_by_its_keys_times_and_streams(copy):
    for server in ("h1", "global"):
        report = check(copy, server=server, copies=server == "h1", history=True, keys=True)
        assert (report.honest, report.not_asked) == (True, [])


def test_backdated_events_appended_at_a_stopped_home(copy, forger):
    """No seal covers them, and the home would seal them at its next start."""
    first = forger.append("user-2", "user.logged_off", at=START - 3600, **LOGGED_OFF)
    forger.append("user-2", "user.logged_off", at=START - SKEW_S - 1, **LOGGED_OFF)
    report = check(copy)
    assert found(report) == [("backdated", first, first + 1)]
    assert "says the order of the log" in str(report.findings[0])


def test_a_clock_may_be_set_back_a_little(copy, forger):
    forger.append("user-2", "user.logged_off", at=START - SKEW_S, **LOGGED_OFF)
    assert check(copy).honest


def test_one_backdated_event_names_the_time_that_it_contradicts(copy, forger):
    position = forger.append("user-2", "user.logged_off", at=START - 3600, **LOGGED_OFF)
    (finding,) = check(copy).findings
    assert (finding.kind, finding.position) == ("backdated", position)
    assert "3600 s before the time of position 1" in finding.what


def test_an_event_of_the_future_does_not_hide_those_after_it(copy, forger):
    forger.append("user-2", "user.logged_off", at=START + 1e6, **LOGGED_OFF)
    position = forger.append("user-2", "user.logged_off", at=START + 60, **LOGGED_OFF)
    assert found(check(copy)) == [("backdated", position)]


def test_ops_accept_a_clock_that_was_ahead(copy, forger):
    """After the clock was put right, whether the server ran meanwhile or not."""
    forger.append("user-2", "user.logged_off", at=START + 40 * 86_400, **LOGGED_OFF)
    right = forger.append("user-2", "user.logged_off", at=START + 60, **LOGGED_OFF)
    assert found(check(copy, keys=True)) == [("backdated", right)]
    done = accept_clock("h1", f"sqlite:///{copy}/h1.db", "", right, START + 90)
    assert (done.first, done.ahead_s) == (right, 40 * 86_400 - 60)
    assert check(copy, keys=True).honest
    later = forger.append("user-2", "user.logged_off", at=START, **LOGGED_OFF)
    assert found(check(copy, keys=True)) == [("backdated", later)]


def test_ops_accept_a_clock_before_the_server_starts_again(copy, forger):
    forger.append("user-2", "user.logged_off", at=START + 40 * 86_400, **LOGGED_OFF)
    done = accept_clock("h1", f"sqlite:///{copy}/h1.db", "", None, START + 90)
    forger.append("user-2", "user.logged_off", at=START + 120, **LOGGED_OFF)
    assert done.first == done.position
    assert check(copy, keys=True).honest


def test_nothing_is_accepted_where_no_clock_was_ahead(copy, forger):
    with pytest.raises(NotCorrected, match="nothing to accept"):
        accept_clock("h1", f"sqlite:///{copy}/h1.db", "", forger.last, START + 60)
    with pytest.raises(NotCorrected, match="the positions 1 to"):
        accept_clock("h1", f"sqlite:///{copy}/h1.db", "", forger.last + 2, START)


@pytest.mark.parametrize("fields", [{"proof": "0" * 64, "ahead_s": 3600.0}, {"ahead_s": 3600.0}, {}])
def test_who_may_write_the_log_but_not_the_keys_cannot_accept_a_clock(copy, forger, fields):
    first = forger.append("user-2", "user.logged_off", at=START - 3600, **LOGGED_OFF)
    accepted = forger.append("clock-h1", "log.clock_corrected", server="h1", first=first, at=START, **fields)
    accept_clock("h1", f"sqlite:///{copy}/h1.db", "", None, START - 7200)  # from now on the server has a key of its own
    assert found(check(copy, keys=True)) == [("backdated", first, accepted)]


def test_an_event_of_another_homes_user(copy, forger):
    """user-2 lives at h2 by the word of the Global Server."""
    Forger(copy, "global").rewrite(Forger(copy, "global").position("account.user_registered", 1), lambda event: event.update(home="h2"))
    lived_here = check(copy, copies=True)
    assert {f.kind for f in lived_here.findings} == {"foreign"}
    Forger(copy, "global").rewrite(Forger(copy, "global").position("account.user_registered", 1), lambda event: event.update(home="h1"))
    assert check(copy, copies=True).honest
    position = forger.append("user-77", SENT, at=START)
    (finding,) = check(copy, copies=True).findings
    assert (finding.kind, finding.position) == ("foreign", position)
    assert "the Global Server knows no such user" in finding.what


@pytest.mark.parametrize("stream", ["account-1", "log-h2", "restored-h2", "mailbox-x", "nonsense"])
def test_a_stream_that_no_home_writes(copy, forger, stream):
    position = forger.append(stream, SENT, at=START)
    assert found(check(copy)) == [("foreign", position)]


def test_every_home_may_note_that_somebody_left(copy, forger):
    forger.append("user-77", "user.closed", at=START, resident=False)
    assert check(copy, copies=True).honest
    position = forger.append("user-78", "user.closed", at=START, resident=True)
    assert found(check(copy, copies=True)) == [("foreign", position)]


def test_a_time_in_the_history_that_is_not_the_events_own(copy):
    position = move_times_in_history(copy, SENT, 3, 365 * 86_400)
    assert found(check(copy, history=True)) == [("time", position)]


def test_a_deleted_key(copy):
    """Its owner's texts read as erased, and a new key would be made at the next login."""
    keys(copy, "DELETE FROM keys WHERE owner = 2")
    (finding,) = check(copy, keys=True).findings
    assert finding.kind == "key"
    assert "the key of user 2 was deleted" in finding.what
    assert check(copy).honest  # nobody who may look was asked


def test_a_key_that_was_destroyed_although_nobody_left(copy, forger):
    keys(copy, "UPDATE keys SET key = NULL WHERE owner = 2")
    (finding,) = check(copy, keys=True).findings
    assert (finding.kind, finding.what) == ("key", "the key of user 2 was destroyed without a closing")
    forger.append("user-2", "user.closed", at=START, resident=True)
    assert check(copy, keys=True).honest


def test_a_key_that_came_back_after_its_owner_left(copy, forger):
    """As from a backup of the keys: the person's texts could be read again."""
    closed = forger.append("user-2", "user.closed", at=START, resident=True)
    assert check(copy, keys=True).honest  # the server may be about to destroy it
    forger.seal_again()
    assert [(f.kind, f.position) for f in check(copy, keys=True).findings] == [("key", closed)]
    with closing(SqliteKeys(copy / "keys" / "h1.db")) as table:
        table.destroy(2)
    assert check(copy, keys=True).honest


def test_a_snapshot_that_somebody_put_there(copy, forger):
    """On 79ccbf3 Bob's client showed what the snapshot of his mailbox had: a popup that nobody sent."""
    with closing(SqliteKeys(copy / "keys" / "h1.db")) as table:
        own = KeyStore(table).own()
    forger.do("INSERT INTO stored_snapshots VALUES ('mailbox-2', 3, 'snapshot', ?)", proven(own, snapshot_place("mailbox-2", 3), b"x"))
    assert check(copy, keys=True).honest
    forger.do("UPDATE stored_snapshots SET state = state || x'00'")
    forger.do("INSERT INTO stored_snapshots VALUES ('mailbox-2', 999, 'snapshot', ?)", proven(bytes(32), "", b"x"))
    forger.do("INSERT INTO stored_snapshots VALUES ('mailbox-1', 2, 'snapshot', x'80')")  # without a proof, as before: never believed
    position = forger.ask("SELECT rowid FROM stored_events WHERE originator_id = 'mailbox-2' AND originator_version = 3")[0][0]
    told = [(f.kind, f.position, f.what) for f in check(copy, keys=True).findings]
    assert told == [
        ("snapshot", 0, "the stored snapshot of mailbox-2 v999"),
        ("snapshot", position, "the stored snapshot of mailbox-2 v3"),
    ]


def test_a_checkpoint_that_somebody_put_there(copy):
    """On 79ccbf3 a home destroyed the keys of everybody whom `closed.projection` named."""
    path = copy / "h1" / "closed.projection"
    with closing(SqliteKeys(copy / "keys" / "h1.db")) as table:
        keys = KeyStore(table)
        assert read_checkpoint(path, keys) is not None
        stored = path.read_bytes()
        path.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
        (finding,) = check(copy, keys=True).findings
        assert (finding.kind, finding.what) == ("snapshot", "the file h1/closed.projection")
        assert read_checkpoint(path, keys) is None
        path.with_name("contacters.projection").write_bytes(stored)  # another one's place
        assert read_checkpoint(path.with_name("contacters.projection"), keys) is None
        path.write_bytes(stored[len(MARK) + SIZE :])  # its proof was cut off, as if it were of a version before
        assert read_checkpoint(path, keys) is None
        path.write_bytes(stored)
        assert read_checkpoint(path, keys) is not None


async def test_a_forged_list_of_closed_accounts_destroys_no_key(copy):
    (copy / "h1" / "closed.projection").write_bytes(msgpack.packb({"format": 1, "position": 5, "uids": [1, 2, 3]}))
    town = Town(copy)
    await town.opens("h1")
    await town.stop()
    assert check(copy, keys=True).honest
