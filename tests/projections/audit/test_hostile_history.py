"""An enrolled server may publish whatever it likes in its own name. Rule: the audit's work and memory grow with what it publishes, and no
faster, and what is known of others' users stays."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from broker.envelope import EventRecord
from domain.events.global_server import UserRegistered
from domain.events.integrity import ClockCorrected
from domain.registry.registered_home import GLOBAL
from projections.audit.coverage import MOST_LIVES, MOST_RANGES
from projections.audit.feeding import MOST_CORRECTIONS, Feeder, Message
from projections.audit.reader import Reader
from projections.audit.rows import AuditFilter
from projections.audit.words import MOST_TOPICS, OTHER_TOPICS
from servers.audit.decoder import HistoryDecoder
from tests.projections.histories import KEY

MANY = 3_000
A_MESSAGE = 1_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def feeder(path: Path) -> Iterator[Feeder]:
    feeder = Feeder(path, HistoryDecoder().decode, checkpoint_every=20, key=KEY)
    yield feeder
    feeder.close()


def told(offset: int, records: list[EventRecord], source: str = "h3", life: int = 0, after: int | None = None) -> Message:
    first, last = records[0].position - 1, records[-1].position
    return Message(offset, source, records, str(offset).encode(), (life, 0, 0), (first if after is None else after, last))


def record(position: int, topic: str = "no.such_topic", stream: str = "user-3", version: int = 1, **fields: Any) -> EventRecord:
    return EventRecord(position, stream, version, topic, 1.0, msgpack.packb({"at": 1.0, **fields}))


def topics(path: Path, source: str) -> set[str]:
    reader = Reader(path, HistoryDecoder().decode, key=KEY)
    found = {row.topic for row in reader.log.page(AuditFilter(source=source), None, 1_000, "newest").rows}
    reader.close()
    return found


def count(path: Path, what: str) -> int:
    with sqlite3.connect(path) as database:
        (number,) = database.execute(f"SELECT count(*) FROM {what}").fetchone()  # noqa: S608 - a table of this test
    return int(number)


def test_invented_topics_share_one_name_and_every_event_is_kept(feeder: Feeder, path: Path) -> None:
    for start in range(0, MANY, A_MESSAGE):
        feeder.feed([told(start // A_MESSAGE, [record(n + 1, f"topic.{n}") for n in range(start, start + A_MESSAGE)])])
    assert count(path, "entries") == MANY
    assert count(path, "words") <= MOST_TOPICS + 3
    assert count(path, "kinds") == MOST_TOPICS + 1
    feeder.feed([told(MANY, [record(1, "later.topic")], source="h2")])
    assert topics(path, "h2") == {"later.topic"}
    assert OTHER_TOPICS in topics(path, "h3")


def test_gaps_and_lives_are_bounded(feeder: Feeder, path: Path) -> None:
    for offset in range(MOST_RANGES + 50):
        feeder.feed([told(offset, [record(2 * offset + 2)])])
    assert count(path, "covered") == MOST_RANGES
    for offset in range(2_000, 2_000 + MOST_LIVES + 50):
        feeder.feed([told(offset, [record(9_999)], life=offset)])
    assert count(path, "(SELECT DISTINCT life FROM covered)") == MOST_LIVES


def test_checkpoints_of_made_up_versions_are_not_made(feeder: Feeder, path: Path) -> None:
    registered = record(1, UserRegistered.TOPIC, "account-3", handle="eve", home="h3")
    feeder.feed([told(0, [registered], source=GLOBAL)])
    feeder.feed([told(1, [record(n, "user.contacter_removed", version=20 * n, uid=9, home="h1", cause="") for n in range(1, 1_001)])])
    assert 0 < count(path, "checkpoints") <= 1_000 // 2


def test_late_events_of_others_drop_no_checkpoint(feeder: Feeder, path: Path) -> None:
    feeder.feed([told(0, [record(1, UserRegistered.TOPIC, "account-3", handle="eve", home="h2")], source=GLOBAL)])
    own = [record(n, "user.contacter_removed", version=n, uid=9, home="h1", cause="") for n in range(1, 61)]
    feeder.feed([told(1, own, source="h2")])
    assert (kept := count(path, "checkpoints")) > 0
    feeder.feed([told(2, [record(100)])])
    feeder.feed([told(3, [record(50)], after=49)])
    assert count(path, "checkpoints") == kept


def test_a_clock_is_corrected_so_often_and_no_more(feeder: Feeder, path: Path) -> None:
    """Each time the clock was ahead: an event is moved behind the one before it, until the ops accept its time."""
    for number in range(MOST_CORRECTIONS + 5):
        ahead, back, accepted = (number * 3 + n for n in (1, 2, 3))
        records = [record(ahead, at=1e9), record(back, at=float(number + 1))]
        feeder.feed([told(number, [*records, record(accepted, ClockCorrected.TOPIC, "clock-h3", number + 1, first=back, at=1.0)])])
    with sqlite3.connect(path) as database:
        moved = "SELECT count(*) FROM entries WHERE told IS NOT NULL AND position % 3 = 2"
        assert database.execute(moved).fetchone() == (5,)
