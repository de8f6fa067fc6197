"""Who has turns at a tenth, at one server. Rule: a pure fold of this server's log, in which what is over may be forgotten at any time."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from domain.event import Event
from domain.events.throttles import ThrottleBegan, ThrottleEnded
from domain.personal import Personal
from projections.server.log_fold import LogFold


class Throttled(NamedTuple):
    """One throttle. `who`: the uid, the address or the name of the home; `by`, `handle`: whose deed it was."""

    kind: str
    who: Any
    until: float
    by: int
    handle: str


class Throttles(LogFold):
    """The throttles that hold. `callers`: uid or address, `homes`: name of a home -> until when. The maps stay the same objects, because
    others hold them too. `streams`: of the throttles in this log, once there were some."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: dict[int | str, float] = {}
        self.homes: dict[int | str, float] = {}
        self.streams: set[str] = set()
        self._held: dict[tuple[str, Any], Throttled] = {}

    @property
    def held(self) -> list[Throttled]:
        """All of them, in the order in which they began."""
        return list(self._held.values())

    def forget(self, now: float) -> None:
        """Forget what is over."""
        for target in [target for target, throttled in self._held.items() if throttled.until <= now]:
            self._end(target)

    def apply(self, position: int, event: Event) -> None:
        """Fold one event. With a user goes what was said about them, and each address that they gave."""
        if position <= self.position:
            return
        super().apply(position, event)
        if event.ERASES:
            uid = event.stream_uid
            gone = [(kind, who) for kind, who, _, by, _ in self._held.values() if uid in ((who, by) if kind == "address" else (who,))]
            for target in gone:
                self._end(target)

    def to_checkpoint(self) -> dict[str, Any]:
        """The whole index as plain data and `Personal` values."""
        held = [[each.kind, Personal(each.by, each.who) if each.kind == "address" else each.who, *each[2:]] for each in self._held.values()]
        return self.checkpoint(held=held, streams=sorted(self.streams))

    def take(self, data: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint, without addresses whose key is gone."""
        held, self.streams = [Throttled(*fields) for fields in data["held"]], set(data["streams"])
        for throttled in held:
            if throttled.who:
                self._begin(throttled)

    def _began(self, event: ThrottleBegan) -> None:
        self.forget(event.at)
        self.streams.add(event.originator_id)
        kind, who = event.target
        if who:
            self._begin(Throttled(kind, who, event.until, event.by, event.handle))

    def _ended(self, event: ThrottleEnded) -> None:
        self._end(event.target)

    def _begin(self, throttled: Throttled) -> None:
        self._held[throttled.kind, throttled.who] = throttled
        self._of(throttled.kind)[throttled.who] = throttled.until

    def _end(self, target: tuple[str, Any]) -> None:
        if self._held.pop(target, None) is not None:
            del self._of(target[0])[target[1]]

    def _of(self, kind: str) -> dict[int | str, float]:
        return self.homes if kind == "home" else self.callers

    FOLDS: ClassVar = {ThrottleBegan: _began, ThrottleEnded: _ended}
