"""What queues and caches hold at most, and hold now. Rule: whoever owns one declares it beside its code, and says who is refused first.

A declaration costs nothing while work is done: owners are asked for their `holdings` when somebody reads `/metrics`. Bytes are counted
where entries differ in size; else they are estimated as the number of entries times the size of one. `docs/limits.md` lists them all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One queue or cache, or one kind of which there are several: then the bounds are `per` each of them.

    `name`: in metrics and pages; `holds`: what is in it; `filled_by`: who can fill it; `past`: what happens then, and to whom first;
    `within`: the attributes of this module that hold it, as `Class.attribute`. `each`: bytes of an entry, where they are estimated.
    """

    name: str
    holds: str
    filled_by: str
    past: str
    within: tuple[str, ...]
    entries: int
    each: int = 0
    bytes: int = 0  # 0: as many entries as may be, of the size of one
    per: str = ""
    cache: bool = False  # what makes room for others can be had again, so that this is worth no word

    @property
    def most_bytes(self) -> int:
        """How many bytes it holds at most."""
        return self.bytes or self.entries * self.each

    def holding(self, entries: int, size: int | None = None, *, refused: int = 0, oldest_s: float | None = None) -> "Holding":
        """What it holds now. `size`: in bytes, where they are counted."""
        return Holding(self, entries, entries * self.each if size is None else size, refused, oldest_s)


class Holding(NamedTuple):
    """What one queue or cache holds at this moment. `refused`: entries that found no place, or had to make room for others, since the
    start; `oldest_s`: how long the first one has waited, where that is known."""

    bound: Bound
    entries: int
    size: int
    refused: int = 0
    oldest_s: float | None = None


class Holder(Protocol):
    """An owner of queues and caches."""

    def holdings(self) -> Iterable[Holding]:
        """What each of them holds now. It takes no longer when they are full, or little."""
