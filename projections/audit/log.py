"""Pages of the log. Rule: every page is read along an index, so its cost grows with the page and never with the store.

No single index answers some filters in order (one topic on all servers, all topics of one server). They become one short query for each
pair of server and topic, of which there are few, and the rows are merged.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from heapq import merge
from itertools import islice
from typing import Any

from domain.errors import Invalid
from projections.audit.rows import AuditFilter, AuditRow, Order, Page
from projections.audit.tables import BY_ID, using
from projections.audit.words import Words

MAX_LIMIT = 1_000  # rows of a page: about 300 KB

_COLUMNS = "e.id, e.source, e.position, e.stream, e.version, e.topic, e.time, e.uid, p.handle, e.cause, e.data, e.told, p.home"
_Bounds = tuple[list[str], list[Any]]


class Log:
    """The log of one connection. Every method blocks."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._words = Words(database)

    def page(self, wanted: AuditFilter, cursor: str | None, limit: int, order: Order) -> Page:
        """Up to `limit` rows after `cursor`. Raises `Invalid` for a cursor that this log never gave, or a limit out of bounds."""
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid("limit", f"1 to {MAX_LIMIT}")
        if order == "arrival":
            rows = self._arrived(wanted, _after_id(cursor), limit + 1)
        else:
            rows = self._by_time(wanted, _after_time(cursor), limit + 1, order == "newest")
        page = rows[:limit]
        following = None
        if len(rows) > limit:
            following = str(page[-1].id) if order == "arrival" else f"{page[-1].time!r}:{page[-1].id}"
        return Page(tuple(page), following)

    def row(self, id: int) -> AuditRow | None:
        """One entry, by its id."""
        rows = self._read("", ["e.id = ?"], [id], "", 1)
        return rows[0] if rows else None

    def about(self, message: str) -> list[tuple[int, AuditRow]]:
        """Every event about popups with this id, each with the popup's sender, oldest first. An id is unique among one sender's only."""
        sql = f"SELECT o.sender, {_COLUMNS} FROM popups o JOIN entries e ON e.id = o.id LEFT JOIN people p ON p.uid = e.uid"  # noqa: S608
        rows = self._database.execute(f"{sql} WHERE o.message = ? ORDER BY o.sender, e.time, e.id", (message,))
        eras = self.eras()
        return [(row[0], self._row(row[1:], eras)) for row in rows]

    def topics(self) -> list[str]:
        """Every topic that occurs."""
        return sorted({self._words.word(topic) for _, topic in self._kinds()})

    def sources(self) -> list[str]:
        """Every server that has an entry."""
        return sorted({self._words.word(source) for source, _ in self._kinds()})

    def _arrived(self, wanted: AuditFilter, after: int, limit: int) -> list[AuditRow]:
        known = self._conditions(wanted)
        if known is None:
            return []
        conditions, values = known
        return self._read(BY_ID, [*conditions, "e.id > ?"], [*values, after], "e.id", limit)

    def _by_time(self, wanted: AuditFilter, after: tuple[float, int] | None, limit: int, newest: bool) -> list[AuditRow]:
        ends: _Bounds = ([], [])
        if after is not None:
            ends[0].append(f"(e.time, e.id) {'<' if newest else '>'} (?, ?)")
            ends[1].extend(after)
        order = "e.time DESC, e.id DESC" if newest else "e.time, e.id"
        pages = [
            self._read(index, [*conditions, *ends[0]], [*values, *ends[1]], order, limit)
            for index, conditions, values in self._parts(wanted)
        ]
        if len(pages) == 1:
            return pages[0]
        return list(islice(merge(*pages, key=lambda row: (row.time, row.id), reverse=newest), limit))

    def _parts(self, wanted: AuditFilter) -> list[tuple[str, list[str], list[Any]]]:
        """The queries whose merged rows are the answer. Each: the index, the conditions, their values."""
        known = self._conditions(wanted)
        if known is None:
            return []
        conditions, values = known
        if wanted.message is not None:  # a popup has a dozen events
            return [(BY_ID, conditions, values)]
        if wanted.cause is not None:
            return [(using("entries_by_cause"), conditions, values)]
        if wanted.user is not None:
            return [(using("entries_by_user"), conditions, values)]
        if wanted.source is None and not wanted.topics:
            return [(using("entries_by_time"), conditions, values)]
        times, bounds = _given(*_times(wanted))
        pairs = self._pairs(wanted)
        return [(using("entries_by_kind"), ["e.source = ?", "e.topic = ?", *times], [*pair, *bounds]) for pair in pairs]

    def _pairs(self, wanted: AuditFilter) -> list[tuple[int, int]]:
        """Each pair of server and topic that the filter lets through and that has an entry."""
        topics = {self._words.known(topic) for topic in wanted.topics}
        source = self._words.known(wanted.source) if wanted.source is not None else None
        return [pair for pair in self._kinds() if (wanted.source is None or pair[0] == source) and (not wanted.topics or pair[1] in topics)]

    def _kinds(self) -> list[tuple[int, int]]:
        """The pairs of server and topic that have an entry."""
        return self._database.execute("SELECT source, topic FROM kinds ORDER BY source, topic").fetchall()

    def _conditions(self, wanted: AuditFilter) -> _Bounds | None:
        """What must hold of an entry; None when nothing can match."""
        topics = [number for topic in wanted.topics if (number := self._words.known(topic)) is not None]
        source = None if wanted.source is None else self._words.known(wanted.source)
        if (wanted.topics and not topics) or (wanted.source is not None and source is None):
            return None
        conditions, values = _given(
            *_times(wanted),
            ("e.source = ?", source),
            ("e.uid = ?", wanted.user),
            ("e.cause = ?", wanted.cause),
            ("e.id IN (SELECT o.id FROM popups o WHERE o.message = ?)", wanted.message),
        )
        if topics:
            conditions.append(f"e.topic IN ({', '.join('?' * len(topics))})")
            values.extend(topics)
        return conditions, values

    def _read(self, index: str, conditions: Sequence[str], values: Sequence[Any], order: str, limit: int) -> list[AuditRow]:
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        by = f" ORDER BY {order}" if order else ""
        found = f"SELECT e.* FROM entries e {index}{where}{by} LIMIT ?"  # noqa: S608 - conditions of our own; values are bound
        sql = f"SELECT {_COLUMNS} FROM ({found}) e LEFT JOIN people p ON p.uid = e.uid{by}"  # noqa: S608
        eras = self.eras()
        return [self._row(row, eras) for row in self._database.execute(sql, (*values, limit))]

    def eras(self) -> list[tuple[int, int]]:
        """Every era that was read: at which id it begins, and its number."""
        return self._database.execute("SELECT base, era FROM eras ORDER BY base").fetchall()

    def _row(self, row: tuple[Any, ...], eras: list[tuple[int, int]]) -> AuditRow:
        id, source, position, stream, version, topic, *rest = row
        base, era = eras[bisect_right(eras, id, key=lambda begun: begun[0]) - 1]
        found = AuditRow(id, self._words.word(source), position, stream, version, self._words.word(topic), *rest)
        return found._replace(era=era, base=base)


def _times(wanted: AuditFilter) -> tuple[tuple[str, Any], ...]:
    return ("e.time >= ?", wanted.since), ("e.time < ?", wanted.until)


def _given(*pairs: tuple[str, Any]) -> _Bounds:
    """The conditions whose value is given, and these values."""
    given = [pair for pair in pairs if pair[1] is not None]
    return [condition for condition, _ in given], [value for _, value in given]


def _after_id(cursor: str | None) -> int:
    if cursor is None:
        return -1
    if not cursor.isdecimal() or len(cursor) > 18:
        raise Invalid("cursor", "one that the log gave, read in the same order")
    return int(cursor)


def _after_time(cursor: str | None) -> tuple[float, int] | None:
    if cursor is None:
        return None
    time, _, id = cursor.partition(":")
    try:
        return float(time), _after_id(id)
    except ValueError:
        raise Invalid("cursor", "one that the log gave, read in the same order") from None
