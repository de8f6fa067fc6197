"""A server that comes back from a copy of its records is the same server, and others can speak with it again."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from servers.encryption.key_tables import SqliteKeys, open_table
from servers.trust import box
from servers.trust.box import CannotOpen
from servers.trust.records import ENROLMENT, restore_records
from servers.trust.trust import Trust, have_new_box_key
from tests.servers.trust.installations import DAY_S, Installation, Member


def saved(house: Installation, directory: Path) -> SqliteKeys:
    """A backup of h1's records as they are now."""
    house.h1.peers.save()
    copy = SqliteKeys(directory / "saved.db")
    restore_records(house.h1.table, copy)
    return copy


def come_back(house: Installation, backup: SqliteKeys, directory: Path) -> Member:
    """h1 with a new disk, and what the backup held."""
    table = SqliteKeys(directory / "again.db")
    restore_records(backup, table)
    table.close()
    backup.close()
    return Member("h1", directory / "again.db", house.time)


def test_it_has_its_identity_and_whom_it_knew(house: Installation, tmp_path: Path) -> None:
    again = come_back(house, saved(house, tmp_path), tmp_path)
    assert again.identity.public == house.h1.identity.public
    assert again.peers.held == house.h1.peers.held
    assert set(again.peers.known) == {"global", "h1", "h2"}
    again.table.close()


def test_others_learn_the_new_box_key_though_its_certificate_is_an_older_one(house: Installation, tmp_path: Path) -> None:
    """After the backup h1 got another certificate and another box key, which h2 knows."""
    backup = saved(house, tmp_path)
    house.time.now += 10 * DAY_S
    house.h1.enrolled_by(house.registry)
    house.h1.box_keys.rotate()
    assert house.h2.peers.learn(house.h1.card)
    again = come_back(house, backup, tmp_path)
    boxed = house.h2.boxes.close("h1", "mail", b"", b"are you there?")
    with pytest.raises(CannotOpen, match=box.NOT_OUR_KEY):
        again.boxes.open("h2", "mail", b"", boxed)
    assert again.box_keys.due, "somebody uses a newer key of ours than we have"
    house.time.now += 1
    again.box_keys.rotate()
    assert house.h2.peers.learn(again.card)
    known = house.h2.peers.card("h1")
    assert known is not None
    assert known.certificate == house.h1.peers.held, "the newer certificate stays"
    assert again.boxes.open("h2", "mail", b"", house.h2.boxes.close("h1", "mail", b"", b"and now?")) == b"and now?"
    assert house.h2.boxes.open("h1", "mail", b"", again.boxes.close("h2", "mail", b"", b"yes")) == b"yes"
    again.table.close()


def test_who_says_that_there_is_a_newer_key_cannot_make_it_change_all_the_time(house: Installation) -> None:
    house.time.now += DAY_S
    assert house.h1.box_keys.key(int(house.time()) + 5) is None
    assert house.h1.box_keys.due
    house.h1.box_keys.rotate()
    assert house.h1.box_keys.key(int(house.time()) + 5) is None
    assert not house.h1.box_keys.due
    assert house.h1.box_keys.key(2**62) is None
    house.time.now += 3_601
    assert house.h1.box_keys.due


def test_a_restore_changes_the_box_key(house: Installation, tmp_path: Path) -> None:
    backup = saved(house, tmp_path)
    before = house.h1.box_keys.newest.number
    have_new_box_key("h1", backup, house.time())
    with closing(backup):
        assert Trust("h1", backup, house.time).box_keys.newest.number > before
    with closing(SqliteKeys(tmp_path / "empty.db")) as empty:
        have_new_box_key("h1", empty, house.time())
        assert empty.records() == {}


def test_what_is_still_there_wins_and_an_identity_that_nobody_knows_does_not(house: Installation, tmp_path: Path) -> None:
    """h1 was started with an empty disk before its backup was put back; and then the backup is put back once more."""
    backup = saved(house, tmp_path)
    with closing(SqliteKeys(tmp_path / "started.db")) as started:
        assert Trust("h1", started, house.time).identity.public != house.h1.identity.public
        restore_records(backup, started)
        trust = Trust("h1", started, house.time)
        assert trust.identity.public == house.h1.identity.public
        assert trust.enrolled
        trust.box_keys.rotate()
        newest = trust.box_keys.newest.number
        restore_records(backup, started)
        assert Trust("h1", started, house.time).box_keys.newest.number == newest
    backup.close()


def test_secrets_for_homes_are_not_put_back(house: Installation, tmp_path: Path) -> None:
    house.registry.records.put(ENROLMENT + "h9", b"a secret")
    with closing(SqliteKeys(tmp_path / "copy.db")) as copy:
        restore_records(house.registry.table, copy)
        assert ENROLMENT + "h9" not in copy.records()


def test_a_standby_has_the_identity_and_learns_what_was_changed(store_url: Callable[[str], str], house: Installation) -> None:
    """Two processes of h1 on one database."""
    url = store_url("h1")
    with closing(open_table("", url, "h1")) as mine, closing(open_table("", url, "h1")) as theirs:
        serving, standby = Trust("h1", mine, house.time), Trust("h1", theirs, house.time)
        assert standby.identity.public == serving.identity.public
        house.time.now += 8 * DAY_S
        serving.take(serving.look_after())
        assert serving.box_keys.newest.number > standby.box_keys.newest.number
        standby.take(standby.read())
        assert standby.box_keys.newest.number == serving.box_keys.newest.number
