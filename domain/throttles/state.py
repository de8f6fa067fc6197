"""Who has turns at a tenth at one server. Rule: only `evolve.py` changes it."""

from dataclasses import dataclass, field
from typing import Any

from domain.personal import Personal


@dataclass(slots=True)
class ThrottlesState:
    """`until`: kind and uid, address or name -> when it is over; `givers`: who gave each address, because it is encrypted with their
    key."""

    stream: str
    version: int = 0
    until: dict[tuple[str, Any], float] = field(default_factory=dict)
    givers: dict[tuple[str, Any], int] = field(default_factory=dict)

    def to_snapshot(self) -> list[Any]:
        """The whole state as plain data and `Personal` values."""
        return [
            [kind, Personal(self.givers[kind, who], who) if kind == "address" else who, self.givers[kind, who], until]
            for (kind, who), until in self.until.items()
        ]

    def from_snapshot(self, data: list[Any]) -> None:
        """Take over the state that `to_snapshot` gave, without addresses whose key is gone."""
        kept = [entry for entry in data if entry[1]]
        self.until = {(kind, who): until for kind, who, _, until in kept}
        self.givers = {(kind, who): giver for kind, who, giver, _ in kept}
