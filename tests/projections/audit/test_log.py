"""Pages of the log: whatever is asked, they hold what a plain look at every entry finds, in the order that was asked for."""

from itertools import product

import msgpack
import pytest

from broker.envelope import EventRecord
from domain.errors import Invalid
from projections.audit.feeding import Feeder, Message
from projections.audit.log import MAX_LIMIT, Log
from projections.audit.reader import Reader
from projections.audit.rows import ENTRIES_PER_OFFSET, AuditFilter
from projections.audit.tables import open_for_reading
from tests.projections.histories import KEY

SENT, DONE, ADOPTED = "user.message_sent", "mailbox.message_done", "user.adopted"
# Source, stream, topic, time, fields. Two servers' clocks differ, two entries have one time, and one entry is of no user.
ENTRIES = [
    ("h1", "user-1", ADOPTED, 0.0, {"handle": "ann"}),
    ("h2", "user-2", ADOPTED, 1.0, {"handle": "bob"}),
    ("h1", "user-1", SENT, 2.0, {"id": "m1", "uid": 1, "cause": "m1"}),
    ("h2", "mailbox-2", DONE, 1.5, {"id": "m1", "uid": 1, "cause": "c9"}),
    ("h2", "user-2", SENT, 4.0, {"id": "m1", "uid": 2, "cause": "m1"}),
    ("h1", "mailbox-1", DONE, 4.0, {"id": "m1", "uid": 2, "cause": "c9"}),
    ("h1", "user-1", SENT, 5.0, {"id": "m2", "uid": 1, "cause": "m2"}),
    ("global", "home-h1", "home.announced", 3.0, {"cause": "c0"}),
    ("h1", "user-3", SENT, 6.0, {"id": "m3", "uid": 3, "cause": "m3"}),
]
EVERYTHING = [
    AuditFilter(user=user, source=source, topics=topics, since=since, until=until, message=message, cause=cause)
    for user, source, topics, (since, until), message, cause in product(
        (None, 1, 9),
        (None, "h1", "h9"),
        ((), (SENT,), (SENT, DONE), ("no.such_topic",), ("no.such_topic", DONE)),
        ((None, None), (1.5, None), (None, 4.0)),
        (None, "m1", "m9"),
        (None, "m1", "c9"),
    )
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A store that was fed with one message for each entry."""
    path = tmp_path_factory.mktemp("audit") / "audit.db"

    def decode(*place):
        raise AssertionError("no page is made of decoded events")

    feeder = Feeder(path, decode, clock=lambda: 10.0, key=KEY)
    for number, (source, stream, topic, time, fields) in enumerate(ENTRIES):
        record = EventRecord(number + 1, stream, 1, topic, time, msgpack.packb(fields))
        feeder.feed([Message(number, source, [record], bytes([number]))])
    feeder.close()
    reader = Reader(path, decode, key=KEY)
    yield reader
    reader.close()


def matches(entry, wanted):
    source, stream, topic, time, fields = entry
    kind, _, owner = stream.partition("-")
    return (
        (wanted.user is None or (kind != "home" and int(owner) == wanted.user))
        and wanted.source in (None, source)
        and (not wanted.topics or topic in wanted.topics)
        and (wanted.since is None or time >= wanted.since)
        and (wanted.until is None or time < wanted.until)
        and wanted.message in (None, fields.get("id"))
        and wanted.cause in (None, fields.get("cause", ""))
    )


def expected(wanted, order):
    found = [number for number, entry in enumerate(ENTRIES) if matches(entry, wanted)]
    if order != "arrival":
        found.sort(key=lambda number: (ENTRIES[number][3], number), reverse=order == "newest")
    return found


def numbers(page):
    return [row.id // ENTRIES_PER_OFFSET for row in page.rows]


@pytest.mark.parametrize("order", ["newest", "oldest", "arrival"])
def test_a_page_holds_what_a_plain_look_finds(reader, order):
    for wanted in EVERYTHING:
        page = reader.log.page(wanted, None, MAX_LIMIT, order)
        assert (numbers(page), page.next) == (expected(wanted, order), None), wanted


@pytest.mark.parametrize("order", ["newest", "oldest", "arrival"])
@pytest.mark.parametrize("wanted", [AuditFilter(), AuditFilter(topics=(SENT, DONE)), AuditFilter(source="h1"), AuditFilter(message="m1")])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_follow_one_another_and_end(reader, order, wanted, limit):
    seen, cursor = [], None
    while True:
        page = reader.log.page(wanted, cursor, limit, order)
        assert len(page.rows) <= limit
        seen += numbers(page)
        assert len(seen) <= len(ENTRIES), "the pages go round in a circle"
        if (cursor := page.next) is None:
            break
        assert len(page.rows) == limit
    assert seen == expected(wanted, order)


def test_a_page_that_is_just_full_is_the_last(reader):
    for order in ("newest", "oldest", "arrival"):
        assert reader.log.page(AuditFilter(), None, len(ENTRIES), order).next is None


def steps(path, entries):
    """How much the database does for a page of a few old entries in a store of so many, by filter. The old ones are of another user,
    server, topic, cause and popup than all others."""
    feeder = Feeder(path, lambda *place: None, clock=lambda: 10.0, key=KEY)
    old = [EventRecord(n, "mailbox-2", n, DONE, float(n), msgpack.packb({"id": "m1", "uid": 2, "cause": "c1"})) for n in range(1, 9)]
    new = [EventRecord(n, "user-1", n, SENT, float(n), msgpack.packb({"id": "m2", "uid": 1, "cause": "c2"})) for n in range(9, entries)]
    feeder.feed([Message(0, "h2", old, b""), Message(1, "h1", new, b"")])
    feeder.close()
    database = open_for_reading(path)
    done = [0]

    def step():
        done[0] += 1

    database.set_progress_handler(step, 1)
    spent = {}
    for wanted in FEW:
        before = done[0]
        assert len(Log(database).page(wanted, None, 5, "newest").rows) == 5
        spent[wanted] = done[0] - before
    database.close()
    return spent


FEW = [
    AuditFilter(),
    AuditFilter(until=9.0),
    AuditFilter(user=2),
    AuditFilter(source="h2"),
    AuditFilter(topics=(DONE,)),
    AuditFilter(cause="c1"),
    AuditFilter(message="m1"),
]


def test_a_page_costs_the_same_in_a_larger_store(tmp_path):
    assert steps(tmp_path / "large.db", 3_000) == steps(tmp_path / "small.db", 100)


def test_a_row_says_everything_of_its_entry(reader):
    row = reader.log.row(2 * ENTRIES_PER_OFFSET)
    assert row[1:13] == ("h1", 3, "user-1", 1, SENT, 2.0, 1, "ann", "m1", msgpack.packb(ENTRIES[2][4]), None, "h1")
    assert (row.era, row.base, row.offset) == (0, 0, 2)
    assert row.offset == 2
    assert reader.log.row(8 * ENTRIES_PER_OFFSET).handle is None, "the history has not named user 3"
    assert reader.log.row(7 * ENTRIES_PER_OFFSET).uid is None
    assert reader.log.row(99 * ENTRIES_PER_OFFSET) is None


def test_events_about_an_id_come_by_sender_and_then_by_time(reader):
    assert [(sender, row.id // ENTRIES_PER_OFFSET) for sender, row in reader.log.about("m1")] == [(1, 3), (1, 2), (2, 4), (2, 5)]
    assert [(life.message, life.sender) for life in reader.trace("m1")] == [("m1", 1), ("m1", 2)]


def test_what_occurs_is_listed(reader):
    assert reader.log.sources() == ["global", "h1", "h2"]
    assert reader.log.topics() == ["home.announced", DONE, ADOPTED, SENT]


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_a_page_has_a_limit(reader, limit):
    with pytest.raises(Invalid) as refusal:
        reader.log.page(AuditFilter(), None, limit, "newest")
    assert refusal.value.extra == {"field": "limit", "expected": f"1 to {MAX_LIMIT}"}
    assert numbers(reader.log.page(AuditFilter(), None, 1, "oldest")) == [0]


@pytest.mark.parametrize(
    ("order", "cursor"),
    [
        ("arrival", ""),
        ("arrival", "x"),
        ("arrival", "-1"),
        ("arrival", "1.0:7"),
        ("arrival", "1" * 19),
        ("newest", "7"),
        ("newest", "x:7"),
        ("oldest", "1.0:x"),
    ],
)
def test_a_cursor_that_the_log_never_gave_is_refused(reader, order, cursor):
    with pytest.raises(Invalid) as refusal:
        reader.log.page(AuditFilter(), cursor, 1, order)
    assert refusal.value.extra == {"field": "cursor", "expected": "one that the log gave, read in the same order"}


def test_the_longest_cursor_of_arrival_is_after_everything(reader):
    assert reader.log.page(AuditFilter(), "9" * 18, 1, "arrival").rows == ()
