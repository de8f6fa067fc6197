"""The largest value of the last one or two minutes. Rule: noting a value costs one comparison; who reads it changes nothing."""

from typing import Protocol


class Turning(Protocol):
    """What counts by the minute."""

    def turn(self) -> None:
        """A minute is over."""


class Peak:
    """A value in seconds, and the name of what took so long. `turn` ends a minute."""

    __slots__ = ("_before", "_now")

    def __init__(self) -> None:
        self._now = self._before = (0.0, "")

    def note(self, value: float, name: str = "") -> None:
        """Something took so long."""
        if value > self._now[0]:
            self._now = (value, name)

    @property
    def value(self) -> tuple[float, str]:
        """The largest value, and its name."""
        return max(self._now, self._before)

    def turn(self) -> None:
        """A minute is over."""
        self._before, self._now = self._now, (0.0, "")
