"""The fold of the public feed: each change once, in order, whatever the broker repeats; cursors that are good, and those that are not."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.server.presence_feed import BEGINNING, Change, Feed, Standing

STATUSES = ("online", "away", "offline")


def told(feed: Feed, offset: int, uid: int, version: int) -> bool:
    status = STATUSES[version % 3]
    return feed.apply(Change(offset, uid, f"{uid}/{version} {status}".encode()), Standing(version, status, f"t{version}"))


def folded(*messages: tuple[int, int]) -> Feed:
    """A log of (uid, version)."""
    feed = Feed()
    for offset, (uid, version) in enumerate(messages):
        told(feed, offset, uid, version)
    return feed


def seen(feed: Feed, cursor: str) -> list[bytes] | None:
    """What comes after a cursor."""
    position = feed.position_of(cursor)
    return None if position is None else [change.body for change in feed.after(position, 10_000) or ()]


def test_an_outbox_that_repeats_changes_nothing():
    feed = folded((1, 1), (1, 2), (2, 1), (1, 1), (1, 2), (2, 1), (1, 3))
    assert [change.body for change in feed.changes] == [b"1/1 away", b"1/2 offline", b"2/1 away", b"1/3 online"]
    assert feed.repeats == 3
    assert feed.users == {1: Standing(3, "online", "t3"), 2: Standing(1, "away", "t1")}


def test_a_message_is_told_from_its_repeat():
    feed = Feed()
    assert (told(feed, 0, 1, 5), told(feed, 1, 1, 5), told(feed, 2, 1, 4), told(feed, 3, 1, 6)) == (True, False, False, True)


@pytest.mark.parametrize(("kept", "portion"), [(4, 1), (16, 2), (56, 7)])
def test_old_changes_are_forgotten_in_portions_and_places_count_on(kept, portion):
    feed = Feed(kept_changes=kept)
    for version in range(1, kept + portion + 1):
        told(feed, version, 1, version)
        assert (feed.first, feed.end, len(feed.changes)) == (0, version, version)
    for forgotten in (1, 2, 3):
        for _ in range(portion):
            told(feed, feed.end + 1, 1, feed.end + 1)
            assert feed.first == forgotten * portion
        assert (feed.end, len(feed.changes)) == (kept + (forgotten + 1) * portion, kept + portion)
        assert feed.position_of(feed.cursor) == feed.end


def test_a_cursor_taken_amid_repeats_gives_only_what_is_new():
    feed = folded((1, 1), (1, 2))
    cursor = feed.cursor
    for offset, version in ((2, 1), (3, 2), (4, 3)):
        told(feed, offset, 1, version)
    assert seen(feed, cursor) == [b"1/3 online"]


def test_a_cursor_of_another_log_is_not_known():
    assert seen(folded((1, 1), (1, 2)), folded((2, 1), (2, 2)).cursor) is None
    for junk in ("", "x", "1", "ffffffffffffffff.00000000", "1.zzzzzzzz", " 0"):
        assert seen(folded((1, 1)), junk) is None


def test_the_beginning_is_a_cursor_until_it_is_forgotten():
    feed = Feed(kept_changes=16)
    assert feed.cursor == BEGINNING
    for version in range(1, 19):
        told(feed, version, 1, version)
    first = feed.cursor_of(feed.changes[0])
    assert len(seen(feed, BEGINNING) or ()) == 18
    told(feed, 19, 1, 19)
    assert seen(feed, BEGINNING) is None
    assert seen(feed, first) is None
    assert feed.after(0, 5) is None
    assert len(feed.changes) == 17
    assert seen(feed, feed.cursor_of(feed.changes[-2])) == [b"1/19 away"]


def test_a_page_has_at_most_as_many_changes_as_were_asked_for():
    feed = folded((1, 1), (1, 2), (1, 3))
    assert [change.offset for change in feed.after(0, 2) or ()] == [0, 1]
    assert [change.offset for change in feed.after(1, 5) or ()] == [1, 2]
    assert feed.after(3, 5) == []


def test_a_feed_that_was_stored_after_it_began_anew_is_whole_or_not_as_before():
    feed = folded((1, 1), (1, 2))
    feed.begin_anew()
    feed.whole = False
    loaded = Feed()
    assert loaded.from_checkpoint(feed.to_checkpoint())
    assert (loaded.whole, loaded.first, loaded.end) == (False, feed.first, feed.end)


def test_who_begins_anew_refuses_every_old_cursor_and_place():
    feed = folded((1, 1), (1, 2))
    cursor, position = feed.cursor, feed.end
    feed.begin_anew()
    assert (seen(feed, cursor), seen(feed, BEGINNING), feed.after(position, 1)) == (None, None, None)
    assert feed.users == {}


def test_in_another_life_of_a_log_a_lost_version_counts_again_and_a_repeat_does_not():
    """The home lost the versions 4 and 5, which the feed had told, and goes on from version 3."""
    feed = Feed()
    for version in (3, 4, 5):
        feed.apply(Change(version, 1, b"%d" % version), Standing(version, "away", f"t{version}", 1))
    assert not feed.apply(Change(6, 1, b"3"), Standing(3, "away", "t3", 2)), "it is told again, because it was put back"
    assert feed.apply(Change(7, 1, b"4 anew"), Standing(4, "online", "t6", 2))
    assert not feed.apply(Change(8, 1, b"4 anew"), Standing(4, "online", "t6", 2))
    assert feed.apply(Change(9, 1, b"5 anew"), Standing(5, "dnd", "t7", 2))
    loaded = Feed()
    assert loaded.from_checkpoint(msgpack.unpackb(msgpack.packb(feed.to_checkpoint()), strict_map_key=False))
    assert loaded.users == feed.users == {1: Standing(5, "dnd", "t7", 2)}


def test_the_same_messages_in_another_era_are_another_log():
    before, after = folded((1, 1), (1, 2)), folded((1, 1), (1, 2))
    before.enter(7, past=False)
    after.enter(8, past=False)
    assert seen(after, before.cursor) is None
    assert seen(before, before.cursor) == []


def test_a_feed_that_enters_another_era_refuses_the_cursors_of_the_former_one():
    feed = folded((1, 1), (1, 2))
    assert not feed.enter(7, past=False)
    cursor = feed.cursor
    loaded = Feed()
    assert loaded.from_checkpoint(feed.to_checkpoint())
    assert not loaded.enter(7, past=False)
    assert seen(loaded, cursor) == []
    assert loaded.enter(8, past=False)
    assert (seen(loaded, cursor), loaded.users) == (None, {})


def test_cursors_of_before_there_were_eras_stay_good_in_the_era_that_holds_them():
    feed = folded((1, 1), (1, 2))
    cursor = feed.cursor
    feed.enter(7, past=True)
    assert seen(feed, cursor) == []


def test_a_beginning_that_was_cut_off_is_no_place_to_start():
    feed = folded((1, 5))
    feed.whole = False
    assert seen(feed, BEGINNING) is None


def test_a_checkpoint_of_another_format_is_refused():
    feed = Feed()
    assert feed.from_checkpoint({"format": 0}) is False
    assert feed.to_checkpoint() == Feed().to_checkpoint()


LOGS = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6)), max_size=40)


@given(LOGS, st.integers(0, 40))
def test_a_checkpoint_and_the_rest_give_what_all_gives(log: list[tuple[int, int]], cut: int):
    whole = folded(*log)
    before, loaded = folded(*log[:cut]), Feed()
    assert loaded.from_checkpoint(msgpack.unpackb(msgpack.packb(before.to_checkpoint()), strict_map_key=False))
    assert (loaded.users, loaded.changes, loaded.first) == (before.users, before.changes, before.first)
    start = loaded.changes[-1].offset if loaded.changes else 0
    for offset, (uid, version) in enumerate(log):
        if offset >= start:  # a restart reads from the last change that counted, itself included
            told(loaded, offset, uid, version)
    assert loaded.to_checkpoint() == whole.to_checkpoint()


@given(LOGS, st.integers(0, 40))
def test_a_snapshot_and_what_comes_after_its_cursor_is_everything_once_and_in_order(log: list[tuple[int, int]], cut: int):
    feed = Feed()
    snapshot, cursor = {}, feed.cursor
    for offset, (uid, version) in enumerate(log):
        if offset == cut:
            snapshot, cursor = dict(feed.users), feed.cursor
        told(feed, offset, uid, version)
    after = seen(feed, cursor)
    assert after is not None
    versions: dict[int, list[int]] = {uid: [standing.version] for uid, standing in snapshot.items()}
    for body in after:
        uid, version = map(int, body.split()[0].split(b"/"))
        versions.setdefault(uid, []).append(version)
    assert all(numbers == sorted(set(numbers)) for numbers in versions.values())
    assert {uid: numbers[-1] for uid, numbers in versions.items()} == {uid: s.version for uid, s in feed.users.items()}
