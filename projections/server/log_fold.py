"""A read model that a server folds from its own log. Rule: an event at or below `position` changes nothing, so repeats do no harm."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from domain.event import Event


class LogFold:
    """The base of these read models. `position`: of the last event that was folded."""

    FORMAT: ClassVar[int] = 1  # of the checkpoint; one of another format is thrown away, and the log is folded from its start
    FOLDS: ClassVar[Mapping[type, Callable[[Any, Any], Any]]] = {}  # class of an event -> how it changes the read model

    def __init__(self) -> None:
        self.position = 0

    def apply(self, position: int, event: Event) -> Any:
        """Fold the event that is stored at `position`. Returns what its fold returns, None for an event that changes nothing here."""
        if position <= self.position:
            return None
        self.position = position
        fold = self.FOLDS.get(type(event))
        return fold(self, event) if fold is not None else None

    def checkpoint(self, **contents: Any) -> dict[str, Any]:
        """A checkpoint with these contents: plain data, and `Personal` values, which are encrypted in the file."""
        return {"format": self.FORMAT, "position": self.position, **contents}

    def from_checkpoint(self, data: Mapping[str, Any]) -> bool:
        """Take over what `to_checkpoint` gave. False, and nothing changed, for data of another format."""
        if data.get("format") != self.FORMAT:
            return False
        position = data["position"]
        self.take(data)
        self.position = position
        return True

    def take(self, data: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint."""
        raise NotImplementedError
