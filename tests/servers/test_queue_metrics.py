"""What queues hold, as Prometheus and the log hear it. Rule: several queues of one kind are one, and a cache that makes room is no news."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from structlog.testing import capture_logs

from runtime.bounds import Bound, Holding
from servers.queue_metrics import QueueMetrics

LETTERS = Bound(name="letters", holds="letters", filled_by="people", past="the newest is refused", within=("Box.letters",),
                entries=10, each=100)  # fmt: skip


class Box:
    """Holds letters."""

    def __init__(self, bound: Bound, entries: int, oldest_s: float | None = None) -> None:
        self.bound, self.entries, self.oldest_s = bound, entries, oldest_s
        self.refused = 0

    def holdings(self) -> Iterator[Holding]:
        yield self.bound.holding(self.entries, refused=self.refused, oldest_s=self.oldest_s)


def shown(*boxes: Box) -> dict[str, Any]:
    metrics = QueueMetrics(*(box.holdings for box in boxes)).collect()
    return {metric.name: [sample.value for sample in metric.samples] for metric in metrics if metric.samples}


def test_bytes_are_estimated_from_the_size_of_an_entry_and_the_bound_is_shown_with_them() -> None:
    assert shown(Box(LETTERS, 3, 1.5)) == {
        "flash_queue_entries": [3],
        "flash_queue_bytes": [300],
        "flash_queue_oldest_seconds": [1.5],
        "flash_queue_refused": [0],
        "flash_queue_most_entries": [10],
        "flash_queue_most_bytes": [1_000],
    }


def test_of_several_of_one_kind_the_sum_is_shown_and_no_bound() -> None:
    each = replace(LETTERS, per="street")
    found = shown(Box(each, 3, 1.5), Box(each, 4, 2.5), Box(each, 0))
    assert (found["flash_queue_entries"], found["flash_queue_bytes"], found["flash_queue_oldest_seconds"]) == ([7], [700], [2.5])
    assert "flash_queue_most_bytes" not in found


def test_the_log_says_once_a_minute_which_queue_refuses_how_much() -> None:
    box, cache = Box(LETTERS, 10), Box(replace(LETTERS, name="copies", cache=True), 10)
    queues = QueueMetrics(box.holdings, cache.holdings)
    said = []
    for refused in (0, 5, 5, 7):
        box.refused = cache.refused = refused
        with capture_logs() as lines:
            queues.turn()
        said.append([(line["event"], line["queue"], line["refused"]) for line in lines])
    assert said == [[], [("queue.refused", "letters", 5)], [], [("queue.refused", "letters", 2)]]
