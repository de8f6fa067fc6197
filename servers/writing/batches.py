"""Which units of work are committed together. Rule: lanes take turns, and a batch is bounded by what its units weigh, not by their number.

Before they are decided, a unit weighs as many events as it has commands. When more come of them, or when their states are too much to be
read for one commit, the units that are not decided yet are put back and come first in the next batch.
"""

from runtime.lanes import Lanes
from servers.writing.config import WriterConfig
from servers.writing.unit_of_work import HOUSE, Lane, UnitOfWork

Queue = Lanes[Lane, UnitOfWork]


def is_full(queue: Queue, lane: Lane, waiting_bytes: int, config: WriterConfig) -> bool:
    """Whether a unit of this lane finds no room. The house's own work is bounded by what the house does."""
    if queue.size >= config.max_waiting or waiting_bytes >= config.max_waiting_bytes:
        return True
    if lane == HOUSE:
        return False
    quarter = config.max_waiting_bytes // 4
    return queue.length(lane) >= config.max_lane or (waiting_bytes >= quarter and sum([unit.size for unit in queue.items(lane)]) >= quarter)


def next_batch(queue: Queue, config: WriterConfig) -> list[UnitOfWork]:
    """Units of all lanes in turn, up to a weight. One that weighs more is a batch by itself, or the end of one."""
    batch: list[UnitOfWork] = []
    events = size = 0
    while queue.size and events < config.max_events and size < config.max_bytes:
        unit = queue.take()
        batch.append(unit)
        events += len(unit.commands) or 1
        size += unit.size
    return batch


def put_back(queue: Queue, batch: list[UnitOfWork], number: int) -> None:
    """The units of a batch from this one on wait for the next batch, before all others."""
    for unit in reversed(batch[number:]):
        queue.put_back(unit.lane, unit)
    del batch[number:]
