"""Moving a server's store to another database, position by position. Rule: the copy is compared with the original before it is committed;
before that moment the target holds nothing.

Positions stay: the history, the other homes and the seals know events by them. Snapshots are left behind; they come again by themselves.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from domain.errors import Rejected
from servers.maintenance.rebuild_projections import drop_projections
from servers.store.raw_tables import End, Row, open_end

PAGE = 5_000  # events at a time: some megabytes


class NotCopied(Rejected):
    """The copy was refused or is not what the original is; the target holds nothing."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What is in the target now."""

    events: int
    last_position: int
    trackings: int
    keys: int


def copy_store(server: str, source_url: str, target_url: str, directory: Path, keys: bool, say: Callable[[str], None]) -> Copied:
    """Copy `server`'s events, tracking positions and, with `keys`, the keys that lie beside them. Projections that were saved in
    `directory` are dropped: they may be of another log, and the server folds them again. Blocks. Raises `NotCopied` when a
    server still works on one of them or the target is not empty, `Unavailable`."""
    with open_end(source_url, server) as source, open_end(target_url, server) as target:
        for end in (source, target):
            if (other := end.in_use()) is not None:
                raise NotCopied(f"{end.name} is in use by {other}; stop the server first")
        if next(pages(target), None) or target.trackings():
            raise NotCopied(f"{target.name} is not empty")
        if not (trackings := source.trackings()) and next(pages(source), None) is None:
            raise NotCopied(f"{source.name} holds nothing of {server}")
        drop_projections(directory)
        events = 0
        for page in pages(source):
            target.put(page)
            events += len(page)
            say(f"{events} events")
        target.track(trackings)
        for copied, original in zip_longest(pages(target), pages(source)):
            if copied != original:
                raise NotCopied("the copy differs from the original")
        if target.trackings() != trackings:
            raise NotCopied("the copy's tracking positions differ")
        told = copy_keys(source, target) if keys else 0
        last = target.commit()
    return Copied(events, last, len(trackings), told)


def copy_keys(source: End, target: End) -> int:
    """Copy the keys beside the events, destroyed ones as such; how many. First, so that no event lies there without its key."""
    with source.keys() as mine, target.keys() as theirs:
        every = mine.everything()
        theirs.add(every)
        if theirs.everything() != every:
            raise NotCopied(f"the keys beside {target.name} are not the ones beside {source.name}")
    return len(every)


def pages(end: End) -> Iterator[Sequence[Row]]:
    """The log, from the start."""
    after = 0
    while page := end.read(after, PAGE):
        yield page
        after = page[-1].position
