"""What one caller wants of the writer. Rule: on disk together or not at all; the one who asked is told in either case."""

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from eventsourcing.persistence import Tracking

from domain.errors import Rejected
from domain.event import Event
from domain.rules.rules import Command
from runtime.deferred import Deferred

log = structlog.get_logger()


class UnitOfWork(Deferred[Any]):
    """Commands that happen together or not at all. `answer` is called when they are on disk, before anything else changes."""

    __slots__ = ("answer", "commands", "events", "refusal", "trackings")

    def __init__(self, commands: Sequence[Command], trackings: Sequence[Tracking], answer: Callable[[list[Event]], Any] | None) -> None:
        super().__init__()
        self.commands = commands
        self.trackings = trackings
        self.answer = answer
        self.events: list[Event] = []
        self.refusal: Rejected | None = None  # what the first command was refused with

    def finish(self, failure: Exception | None) -> None:
        """Answer, and tell whoever asked, unless they have gone. Never raises: the writer must go on."""
        if self.cancelled:
            return
        result: Any = self.events
        if failure is None and self.answer is not None:
            try:
                result = self.answer(self.events)
            except Exception as error:
                log.exception("writer.answer_failed")
                failure = error
        try:
            if failure is None:
                self.set_result(result)
            else:
                self.set_exception(failure)
        except Exception:
            log.exception("writer.asker_failed")
