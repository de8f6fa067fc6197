"""Folding a home's projections from the start of its log.

Rule: the log is only read. The home may run; it reads the new dumps at its next start.
"""

import asyncio
from pathlib import Path

from domain.rules import home as rules
from domain.rules.rules import Rules
from projections.server.closed_accounts import ClosedAccounts
from projections.server.contacters import ContacterIndex
from projections.server.presence import PresenceIndex
from projections.server.waiting_mail import WaitingIndex
from servers.store.event_store import Store
from servers.writing.projector import Projection, Projector, read_dump


def home_indices() -> dict[str, Projection]:
    """Fresh indices of a home, by the names of their dumps."""
    return {"presence": PresenceIndex(), "contacters": ContacterIndex(), "waiting": WaitingIndex(), "closed": ClosedAccounts()}


async def rebuild_projections(store_url: str, home: str, directory: Path, keys_url: str = "") -> list[str]:
    """Replace the dumps in `directory`; one line per projection says how the new one compares with the old.

    An old dump that stands at an earlier position is first brought to the same one. Raises `Unavailable`.
    """
    catalogue = Rules(rules.STATES, rules.FOLDS, rules.DECIDERS)
    store = await asyncio.to_thread(Store, store_url, home, catalogue, keys_url)
    try:
        before, after = home_indices(), home_indices()
        loaded = {
            name: (data := read_dump(directory / f"{name}.projection", store.keys)) is not None and p.load(data)
            for name, p in before.items()
        }
        await Projector(store, directory, before).catch_up()
        rebuilt = Projector(store, directory, after)
        await rebuilt.catch_up()
        await rebuilt.dump()
    finally:
        await asyncio.to_thread(store.close)
    return [
        f"{name}: {p.position} events, " + ("same as before" if p.dump() == before[name].dump() else "DIFFERENT from before")
        if loaded[name]
        else f"{name}: {p.position} events, no earlier dump"
        for name, p in after.items()
    ]
