"""The newest commits in memory: without a gap, bounded, and let go of when every follower has passed them."""

import pytest

from broker.envelope import EventRecord
from servers.messaging.recent_commits import RecentCommits, portion
from servers.store.event_store import Committed


class Dull:
    """An event of a class that a follower does not wait for."""

    ERASES = False


class Wanted(Dull):
    """An event of a class that a follower waits for."""


class Erasing(Dull):
    """The end of a user."""

    ERASES = True


def commits(*positions: int, event: type = Dull) -> list[Committed]:
    return [Committed(position, event(), EventRecord(position, "user-1", position, "t", 0.0, b"x" * 100)) for position in positions]


def held(recent: RecentCommits, position: int) -> list[int]:
    return [committed.position for committed in recent.after(position, 99, 9_900)]


def test_a_commit_is_kept_until_every_follower_has_it():
    recent = RecentCommits()
    fast, slow = recent.follow(), recent.follow()
    recent.offer(commits(1, 2, 3))
    recent.offer(commits(4))
    assert (held(recent, 0), held(recent, 1), held(recent, 3), held(recent, 4)) == ([1, 2, 3, 4], [2, 3, 4], [4], [])
    fast.passed(4)
    slow.passed(2)
    assert (recent.events, fast.lag, slow.lag) == (4, 0, 2)
    slow.passed(3)
    assert (recent.events, [c.position for c in slow.next(9, 900)]) == (1, [4])
    slow.passed(4)
    assert (recent.events, recent.bytes, slow.next(9, 900)) == (0, 0, [])


def test_a_follower_may_know_of_more_than_was_offered():
    recent = RecentCommits()
    follower = recent.follow()
    follower.passed(9)
    assert (recent.last, follower.lag) == (9, 0)


def test_after_a_gap_only_the_new_end_is_kept():
    recent = RecentCommits()
    follower = recent.follow()
    recent.offer(commits(1, 2))
    recent.offer(commits(5, 6))
    assert (held(recent, 0), held(recent, 2), held(recent, 4), recent.last) == ([], [], [5, 6], 6)
    assert follower.lag == 6


def test_past_a_bound_the_oldest_commits_go():
    recent = RecentCommits(max_events=5)
    recent.follow()
    for position in range(1, 9):
        recent.offer(commits(position))
    assert (held(recent, 2), held(recent, 3)) == ([], [4, 5, 6, 7, 8])
    small = RecentCommits(max_bytes=250)
    small.follow()
    for position in range(1, 9):
        small.offer(commits(position))
    assert (held(small, 5), held(small, 6), small.bytes) == ([], [7, 8], 200)


@pytest.mark.parametrize(
    ("events", "size", "taken"), [(9, 900, [1, 2, 3, 4, 5]), (4, 900, [1, 2, 3, 4]), (9, 300, [1, 2, 3]), (2, 900, [1, 2]), (9, 50, [1])]
)
def test_a_portion_is_bounded_in_events_and_bytes_and_is_never_empty(events: int, size: int, taken: list[int]):
    recent = RecentCommits()
    recent.follow()
    for committed in (commits(1, 2), commits(3), commits(4, 5)):
        recent.offer(committed)
    assert [committed.position for committed in recent.after(0, events, size)] == taken
    assert [committed.position for committed in portion(commits(1, 2, 3, 4, 5), events, size)] == taken


def test_a_commit_without_a_wanted_event_is_passed_without_waking_the_follower():
    recent = RecentCommits()
    follower = recent.follow({Wanted})
    recent.offer(commits(1, 2))
    assert (follower.position, follower.arrived.is_set()) == (2, False)
    recent.offer(commits(3) + commits(4, event=Wanted))
    assert (follower.position, follower.arrived.is_set()) == (2, True)


def test_after_the_end_of_a_user_no_follower_waits_for_more():
    recent = RecentCommits()
    follower = recent.follow(full_at=1_000)
    recent.offer(commits(1))
    assert not follower.full.is_set()
    recent.offer(commits(2, event=Erasing))
    assert follower.full.is_set()


def test_a_follower_that_is_behind_is_woken_for_every_commit():
    recent = RecentCommits()
    follower = recent.follow({Wanted})
    recent.offer(commits(1, event=Wanted))
    follower.arrived.clear()
    recent.offer(commits(2))
    assert (follower.position, follower.arrived.is_set()) == (0, True)
