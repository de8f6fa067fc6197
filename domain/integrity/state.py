"""How far a log is sealed, and which life it is in. Rule: only `evolve.py` changes it."""

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


@dataclass(slots=True)
class LifeState:
    """Which life a log is in (`life-<server>`); see `LifeBegan`. `life` is 0 in a log that no server of today has opened."""

    stream: str
    version: int = 0
    life: int = 0
    former: int = 0
    agreed: int = 0

    def to_snapshot(self) -> list[Any]:
        """The whole state as plain data."""
        return [self.life, self.former, self.agreed]

    def from_snapshot(self, data: list[Any]) -> None:
        """Take over the state that `to_snapshot` gave."""
        self.life, self.former, self.agreed = data
