"""A piece of `python -m bench soak`: people live for three minutes. Rule: no message is lost or doubled, and no queue keeps anything."""

import pathlib
from collections.abc import Callable, Iterator

import pytest

from bench.soak.play import Minute, Plan, play
from bench.soak.samples import Sample
from tests.faults.conftest import SEED
from tests.support.missing import Missing

MINUTES = 3
LEFT = 5  # entries that may wait at any moment: a heartbeat, a seal


def over_their_bounds(sample: Sample) -> Iterator[str]:
    """Queues and caches that hold more than they may."""
    for name, queue in sample.queues.items():
        for what in ("entries", "bytes"):
            if queue[what] > queue.get(f"most_{what}", float("inf")):
                yield f"{sample.server} in minute {sample.minute}: {name} holds {queue[what]:.0f} {what} of {queue[f'most_{what}']:.0f}"


def not_empty_again(before: Sample, after: Sample) -> Iterator[str]:
    """Queues in which more waits than at the start. A cache does not wait, so its first entry has no age."""
    for name, queue in after.queues.items():
        was = before.queues.get(name, {}).get("entries", 0)
        if "oldest_seconds" in queue and queue["entries"] > was + LEFT:
            yield f"{after.server}: {name} held {was:.0f} entries, and holds {queue['entries']:.0f} in the calm"


def sample(entries: float, most: float = 10, **more: float) -> Sample:
    queue = {"entries": entries, "bytes": 8 * entries, "most_entries": most, "most_bytes": 8 * most, **more}
    return Sample(1, "h1", 0, 0, 0, 0, 0, queues={"writer.lane": queue})


def test_a_queue_over_its_bound_is_seen() -> None:
    assert list(over_their_bounds(sample(10))) == []
    assert len(list(over_their_bounds(sample(11)))) == 2


def test_a_queue_that_is_not_empty_again_is_seen_and_a_cache_is_not() -> None:
    assert list(not_empty_again(sample(1, oldest_seconds=0), sample(2, oldest_seconds=3))) == []
    assert len(list(not_empty_again(sample(1, oldest_seconds=0), sample(9, oldest_seconds=3)))) == 1
    assert list(not_empty_again(sample(1), sample(9))) == []


@pytest.mark.timeout(600)  # three minutes of life, and until everything has arrived
async def test_three_minutes_of_life_leave_nothing_behind(tmp_path: pathlib.Path, tell: Callable[[object], None]) -> None:
    print(f"FLASH_TEST_SEED={SEED}")
    try:
        minutes: list[Minute] = [minute async for minute in play(tmp_path, Plan(MINUTES, SEED))]
    except Missing as reason:
        pytest.skip(str(reason))
    start, calm = minutes[0], minutes[-1]
    assert calm.calm
    assert calm.problems == []
    assert calm.accepted > 0
    assert min(calm.deeds[deed] for deed in ("logins", "logoffs", "registrations", "erasures", "kills of RabbitMQ")) > 0
    assert all(each.queues for each in calm.samples), "every server names its queues"
    assert [problem for minute in minutes for each in minute.samples for problem in over_their_bounds(each)] == []
    assert [problem for pair in zip(start.samples, calm.samples, strict=True) for problem in not_empty_again(*pair)] == []
    tell(f"{calm.accepted} messages, {calm.deeds}, {calm.answers}")
