"""Folds a home's projections from the start of its log. Rule: the log is only read.

The home may run; it reads the new checkpoints at its next start.
"""

import asyncio
from pathlib import Path

from domain.rules.home import rules_for
from projections.by_server import HomeProjections, by_name
from servers.store.event_store import Store
from servers.writing.projector import Projection, Projector, read_checkpoint


def drop_projections(directory: Path) -> None:
    """Remove every saved projection in `directory`, before a log is put in the place of the one that it was folded from. A server believes
    its saved projections: it destroys the keys of the accounts that `closed.projection` names."""
    for path in directory.glob("*.projection"):
        path.unlink()


async def rebuild_projections(store_url: str, home: str, directory: Path, keys_url: str = "") -> list[str]:
    """Replace the checkpoints in `directory`. Returns one line per projection, which compares the new checkpoint with the old one.

    An old checkpoint of an earlier position is first brought to the end of the log. Raises `Unavailable`.
    """
    store = await asyncio.to_thread(Store, store_url, home, rules_for(home), keys_url)
    try:
        before, after = by_name(HomeProjections()), by_name(HomeProjections())
        loaded = {
            name: (data := read_checkpoint(directory / f"{name}.projection", store.keys)) is not None and p.from_checkpoint(data)
            for name, p in before.items()
        }
        await Projector(store, directory, before).catch_up()
        rebuilt = Projector(store, directory, after)
        await rebuilt.catch_up()
        await rebuilt.save()
    finally:
        await asyncio.to_thread(store.close)
    return [f"{name}: {p.position} events, {_compared(p, before[name] if loaded[name] else None)}" for name, p in after.items()]


def _compared(new: Projection, old: Projection | None) -> str:
    if old is None:
        return "no earlier checkpoint"
    return "same as before" if new.to_checkpoint() == old.to_checkpoint() else "DIFFERENT from before"
