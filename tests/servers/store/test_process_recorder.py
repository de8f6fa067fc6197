"""The event log keeps the promises of the eventsourcing library's process recorder. Rule: the library's own test cases, unchanged.

`Recorder` turns the library's calls into those of our port; nothing at work goes this way.
"""

import unittest
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import IntegrityError, Notification, ProcessRecorder, StoredEvent, Subscription, Tracking
from eventsourcing.tests import persistence as library

from servers.store.databases import open_event_log
from servers.store.log.event_log import Conflicted, EventLog

EVERYTHING = 1_000_000
BEFORE_ALL = -1  # the library's test cases begin some streams with version 0


class Recorder(ProcessRecorder):
    """The library's interface over `EventLog`."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        rows = [(str(e.originator_id), e.originator_version, e.topic, e.state) for e in stored_events]
        tracking: Tracking | None = kwargs.get("tracking")
        try:
            return list(self._log.append(rows, () if tracking is None else (tracking,)))
        except Conflicted as error:
            raise IntegrityError from error

    def insert_tracking(self, tracking: Tracking) -> None:
        self.insert_events((), tracking=tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        return self._log.tracked(application_name) or None

    def max_notification_id(self) -> int | None:
        return self._log.last_position() or None

    def select_events(
        self, originator_id: UUID | str, *, gt: int | None = None, lte: int | None = None, desc: bool = False, limit: int | None = None
    ) -> Sequence[StoredEvent]:
        rows = self._log.read_stream(str(originator_id), BEFORE_ALL if gt is None else gt)
        found = [StoredEvent(*row[1:]) for row in rows if lte is None or row.version <= lte]
        return (found[::-1] if desc else found)[:limit]

    def select_notifications(
        self, start: int | None, limit: int, stop: int | None = None, topics: Sequence[str] = (), *, inclusive_of_start: bool = True
    ) -> Sequence[Notification]:
        after = 0 if start is None else start - inclusive_of_start
        rows = [row for row in self._log.read(after, EVERYTHING) if stop is None or row.position <= stop]
        return [Notification(*row[1:], id=row.position) for row in rows if not topics or row.topic in topics][:limit]

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[Any]:
        raise NotImplementedError


CASES = [library.ProcessRecorderTestCase, library.NonInterleavingNotificationIDsBaseCase]
TESTS = [(case, name) for case in CASES for name in unittest.defaultTestLoader.getTestCaseNames(case)]


@pytest.mark.parametrize(("case", "name"), TESTS, ids=[f"{case.__name__}.{name}" for case, name in TESTS])
def test_a_test_of_the_library_passes_on_our_log(url: str, case: Any, name: str) -> None:
    with closing(open_event_log(url, "h1")) as log:

        class OnOurLog(case):
            def create_recorder(self) -> Recorder:
                return Recorder(log)

            def new_originator_id(self) -> str:
                return str(uuid4())

        OnOurLog(name).debug()


def test_the_tests_of_the_library_are_there() -> None:
    assert len(TESTS) >= 5
