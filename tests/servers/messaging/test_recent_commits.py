"""The newest commits in memory: without a gap, bounded, and let go of as they are passed."""

from broker.envelope import EventRecord
from servers.messaging import recent_commits as tail
from servers.messaging.recent_commits import RecentCommits, portion, weight
from servers.store.event_store import Committed


def commits(*positions: int) -> list[Committed]:
    return [Committed(position, None, EventRecord(position, "user-1", position, "t", 0.0, b"x" * 100)) for position in positions]


def offer(followed: RecentCommits, committed: list[Committed]) -> None:
    followed.offer(committed, weight(committed))


def held(followed: RecentCommits) -> list[int]:
    return [event.position for committed in followed for event in committed]


def test_what_was_not_passed_is_kept():
    followed = RecentCommits()
    offer(followed, commits(1, 2, 3))
    offer(followed, commits(4))
    assert (followed.follows(0), followed.follows(1), followed.last) == (True, False, 4)
    followed.passed(2)
    assert (held(followed), followed.follows(2)) == ([3, 4], True)
    followed.passed(9)
    assert (held(followed), followed.follows(9), followed.last) == ([], False, 9)


def test_after_a_gap_only_the_new_end_is_kept():
    followed = RecentCommits()
    offer(followed, commits(1, 2))
    offer(followed, commits(5, 6))
    assert (held(followed), followed.follows(2), followed.follows(4), followed.last) == ([5, 6], False, True, 6)


def test_of_too_much_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(tail, "MAX_EVENTS", 5)
    followed = RecentCommits()
    for position in range(1, 9):
        offer(followed, commits(position))
    assert held(followed) == [4, 5, 6, 7, 8]
    monkeypatch.setattr(tail, "MAX_BYTES", 250)
    offer(followed, commits(9))
    assert held(followed) == [8, 9]


def test_whole_commits_are_taken_as_far_as_they_fit():
    followed = RecentCommits()
    for committed in (commits(1, 2), commits(3), commits(4, 5)):
        offer(followed, committed)
    for events, size, taken in ((9, 900, [1, 2, 3, 4, 5]), (4, 900, [1, 2, 3]), (9, 300, [1, 2, 3]), (2, 900, [1, 2])):
        assert [event.position for event in followed.first(events, size)] == taken


def test_of_a_commit_that_is_too_large_alone_its_beginning_is_taken():
    followed = RecentCommits()
    offer(followed, commits(1, 2, 3))
    for events, size, taken in ((2, 900, [1, 2]), (9, 200, [1, 2]), (9, 50, [1])):
        assert [event.position for event in followed.first(events, size)] == taken
        assert [event.position for event in portion(commits(1, 2, 3), events, size)] == taken
