"""Who knows how far a log had come. Rule: what somebody else says is a reason to look; what a log lacks is said in a sentence.

The history, the Global Server's copies of seals, and this server's own checkpoints are believed; a peer's word alone is not, because one
lying peer could otherwise stop every home.
"""

from dataclasses import dataclass
from typing import NamedTuple

LISTED = 3  # examples of events that are missing


class Known(NamedTuple):
    """`who` knows that the log had come to `position`."""

    who: str
    position: int


@dataclass(frozen=True, slots=True)
class Loss:
    """What nobody has any more, if the log goes on from here. `end`: where the log and the history end together; `known`: the furthest
    that anybody knows; `missing`: events that the numbers of their streams show; `unreadable`: people whose keys are not here; `other`:
    why the history cannot be put behind the log."""

    server: str
    life: int
    end: int
    known: Known
    missing: tuple[str, ...] = ()
    unreadable: int = 0
    other: str = ""

    def __bool__(self) -> bool:
        return bool(self.known.position > self.end or self.missing or self.unreadable or self.other)

    def __str__(self) -> str:
        said = []
        if self.other:
            said.append(f"{self.other}; what the history has from there on would be left out")
        elif self.known.position > self.end:
            said.append(f"the events after {self.end}, up to {self.known.position} at least, which {self.known.who} knows of, are nowhere")
        if self.missing:
            examples = ", ".join(self.missing[:LISTED])
            said.append(f"{len(self.missing)} events are neither in the log nor in the history ({examples})")
        if self.unreadable:
            said.append(f"the keys of {self.unreadable} people are missing, so their names and texts would read as erased")
        return "; ".join(said)


def sentence(loss: Loss) -> str:
    """What a server that waits for its ops says of itself."""
    return (
        f"The log of {loss.server} was set back, and not all of it can be put back: {loss}. "
        f"Bring the right database or its keys back, or accept the loss with `flash servers accept {loss.server}`."
    )
