"""Trust records: two processes that are first at once keep the same."""

from collections.abc import Callable, Iterator

import pytest

from servers.encryption.key_store import KeyTable
from servers.encryption.key_tables import open_table
from servers.trust.records import Records


@pytest.fixture
def tables(store_url: Callable[[str], str]) -> Iterator[tuple[KeyTable, KeyTable]]:
    """What two processes that serve h1 open."""
    url = store_url("h1")
    both = open_table("", url, "h1"), open_table("", url, "h1")
    yield both
    for table in both:
        table.close()


def test_who_is_second_takes_what_the_first_one_stored(tables: tuple[KeyTable, KeyTable]) -> None:
    one, other = Records(tables[0]), Records(tables[1])
    assert one.first("identity", lambda: b"mine") == b"mine"
    assert other.first("identity", lambda: b"theirs") == b"mine"
    assert not other.change("identity", None, b"theirs")
    assert not other.change("identity", b"theirs", b"other")
    assert other.change("identity", b"mine", b"theirs")
    assert one.everything() == {"identity": b"theirs"}
    one.put("identity", b"\0\xff")
    assert other.read("identity") == b"\0\xff"
    assert not other.change("identity", b"mine", None)
    assert other.change("identity", b"\0\xff", None)
    assert one.read("identity") is None
