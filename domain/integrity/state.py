"""How far a log is sealed. Rule: only `evolve.py` changes it."""

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class SealedState:
    """How far a log is sealed (`log-<server>`), or how far its server told that it is (`witness-<server>`). Of `restored-<server>` and
    `clock-<server>` only the version counts."""

    stream: str
    version: int = 0
    last: int = 0
    digest: str = ""

    def to_snapshot(self) -> list[Any]:
        """The whole state as plain data."""
        return [self.last, self.digest]

    def from_snapshot(self, data: list[Any]) -> None:
        """Take over the state that `to_snapshot` gave."""
        self.last, self.digest = data
