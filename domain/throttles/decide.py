"""What comes of a wish about turns. Rule: pure, and nothing is refused: a home that was away hears of what is over by now."""

from typing import Any

from domain.aggregate import Deciders
from domain.event import Event
from domain.events.throttles import ThrottleBegan, ThrottleEnded
from domain.throttles.commands import EndThrottle, Throttle, ThrottleCommand
from domain.throttles.state import ThrottlesState


def throttle(state: ThrottlesState, command: Throttle, now: float) -> list[Event]:
    """Nothing happens when the time is over already, or when the very same holds and no further home must hear of it."""
    holds = state.until.get(command.target) == command.until
    if command.until <= now or not command.target[1] or holds is not command.again:
        return []
    return [ThrottleBegan(until=command.until, **_fields(command), at=now, cause=command.cause)]


def end_throttle(state: ThrottlesState, command: EndThrottle, now: float) -> list[Event]:
    """Nothing happens when it has all turns."""
    if state.until.get(command.target, 0.0) <= now:
        return []
    return [ThrottleEnded(**_fields(command), at=now, cause=command.cause)]


def _fields(command: ThrottleCommand) -> dict[str, Any]:
    return {
        "kind": command.kind,
        "uid": command.uid,
        "home": command.home,
        "address": command.address,
        "by": command.by,
        "handle": command.handle,
        "homes": list(command.homes),
    }


DECIDERS: Deciders = {Throttle: throttle, EndThrottle: end_throttle}
