"""Keeps a server's projections: load the dump, catch up from the log, follow every commit, dump now and then.

Rule: a dump is only a shortcut. Thrown away, the same index comes out of the log (`flash projections rebuild`).
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgpack
import structlog

from domain.errors import Unavailable
from domain.event import Event
from runtime.background_task import BackgroundTask
from servers.encryption.key_store import NO_KEYS, Ciphers, KeyStore
from servers.encryption.personal_fields import pack_dump, unpack_dump
from servers.store.event_store import Store

DUMP_EVERY_S = 60.0  # a restart after a crash folds at most a minute of events
CATCH_UP = 2_000  # events read at a time: about 1 MB

log = structlog.get_logger()


class Projection(Protocol):
    """A pure fold of a server's log."""

    position: int

    def apply(self, position: int, event: Event) -> object:
        """Fold one event; one at or below `position` changes nothing."""

    def dump(self) -> dict[str, Any]:
        """Plain data of the whole index, and `Personal`, which is sealed in the file."""

    def load(self, data: dict[str, Any]) -> bool:
        """The reverse of `dump`, whole or not at all. False for data of another format."""


class Projector:
    """Several projections of one log. Dumps lie in `directory/<name>.projection`."""

    def __init__(self, store: Store, directory: Path, projections: Mapping[str, Projection]) -> None:
        self._store = store
        self._directory = directory
        self._projections = projections
        self._dumped: dict[str, int] = {}
        self._task = BackgroundTask("projector")

    async def start(self) -> None:
        """Load the dumps and catch up: afterwards every projection stands at the end of the log."""
        newest = await self._store.run(self._store.last_position)
        for name, projection in self._projections.items():
            data = await self._store.run_reader(read_dump, self._directory / f"{name}.projection", self._store.keys)
            if data is not None and data.get("position", 0) <= newest:  # a dump from a store that is gone is worth nothing
                try:
                    projection.load(data)
                except (KeyError, TypeError, ValueError, AttributeError) as error:  # nothing was taken from it: the log has it all
                    log.warning("projector.dump_unusable", projection=name, error=type(error).__name__)
            self._dumped[name] = projection.position
        await self.catch_up()
        self._task.start(self._dump_now_and_then())

    async def catch_up(self) -> None:
        """Fold what the log has beyond the projections."""
        position = min(p.position for p in self._projections.values())
        while batch := await self._store.run_reader(self._store.read, position, CATCH_UP):
            for committed in batch:
                for projection in self._projections.values():
                    projection.apply(committed.position, committed.event)
            position = batch[-1].position

    async def stop(self) -> None:
        """Dump and stop."""
        if self._task.alive:
            await self._task.stop()
            await self.dump()

    def lag(self, newest: int) -> dict[str, int]:
        """How far each projection is behind `newest`, by name."""
        return {name: newest - p.position for name, p in self._projections.items()}

    async def _dump_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(DUMP_EVERY_S)
            await self.dump()

    async def dump(self) -> None:
        """Write every dump that has changed."""
        for name, projection in self._projections.items():
            if projection.position == self._dumped.get(name):
                continue
            position, data = projection.position, projection.dump()
            try:
                await self._store.run_reader(write_dump, self._directory / f"{name}.projection", data, self._store.keys)
                self._dumped[name] = position
            except (OSError, Unavailable) as error:
                log.warning("projector.dump_failed", projection=name, error=type(error).__name__)
            except Exception:  # the next dump may succeed; and who stops goes on stopping
                log.exception("projector.dump_failed", projection=name)


def read_dump(path: Path, ciphers: Ciphers = NO_KEYS) -> dict[str, Any] | None:
    """The data of a dump; None when there is none that can be read. Raises `Unavailable` when the keys are away."""
    try:
        data = unpack_dump(path.read_bytes(), ciphers)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgpack.UnpackException) as error:
        log.warning("projector.dump_unreadable", projection=path.stem, error=type(error).__name__)
        return None
    return data if isinstance(data, dict) else None


def write_dump(path: Path, data: dict[str, Any], keys: KeyStore | None = None) -> None:
    """Put a dump at `path`, whole or not at all; without `keys` it must hold nothing personal. Raises `OSError`, `Unavailable`."""
    packed = msgpack.packb(data) if keys is None else pack_dump(data, keys)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(packed)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)  # whole or not at all
