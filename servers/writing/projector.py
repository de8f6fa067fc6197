"""Keeps a server's projections: load the checkpoint, catch up from the log, follow every commit, write a checkpoint now and then.

Rule: a checkpoint is only a shortcut, and believed only when it carries this server's proof. Without it the same projection is made of the
log (`flash projections rebuild`).
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
from servers.encryption.key_store import KeyStore
from servers.encryption.mac import NotOurs, checked, proven
from servers.encryption.snapshots import pack_snapshot, unpack_snapshot
from servers.store.event_store import Store
from servers.writing.config import ProjectorConfig

log = structlog.get_logger()


class Projection(Protocol):
    """A pure fold of a server's log."""

    position: int

    def apply(self, position: int, event: Event) -> object:
        """Fold one event; one at or below `position` changes nothing."""

    def to_checkpoint(self) -> dict[str, Any]:
        """The whole projection as plain data and `Personal` values, which are encrypted in the file."""

    def from_checkpoint(self, data: dict[str, Any]) -> bool:
        """Take over what `to_checkpoint` gave, whole or not at all. False for data of another format."""


class Projector:
    """Several projections of one log. Checkpoints lie in `directory/<name>.projection`."""

    def __init__(self, store: Store, directory: Path, projections: Mapping[str, Projection], config: ProjectorConfig | None = None) -> None:
        self._store = store
        self._directory = directory
        self._projections = projections
        self._config = config or ProjectorConfig()
        self._saved: dict[str, int] = {}
        self.remembered = 0  # the newest position that a checkpoint tells of, also one that the log does not have
        self._task = BackgroundTask("projector")

    async def start(self) -> None:
        """Load the checkpoints and catch up: afterwards every projection stands at the end of the log."""
        newest = await self._store.run(self._store.last_position)
        for name, projection in self._projections.items():
            data = await self._store.run_reader(read_checkpoint, self._directory / f"{name}.projection", self._store.keys)
            if data is not None and isinstance(data.get("position"), int):
                self.remembered = max(self.remembered, data["position"])
            if data is not None and data.get("position", 0) <= newest:  # else it is a checkpoint of another log
                try:
                    projection.from_checkpoint(data)
                except (KeyError, TypeError, ValueError, AttributeError) as error:  # nothing was loaded: the log has it all
                    log.warning("projector.checkpoint_unusable", projection=name, error=type(error).__name__)
            self._saved[name] = projection.position
        await self.catch_up()
        self._task.start(self._save_now_and_then())

    async def catch_up(self) -> None:
        """Fold what the log has beyond the projections."""
        position = min(p.position for p in self._projections.values())
        while batch := await self._store.run_reader(self._store.read, position, self._config.catch_up):
            for committed in batch:
                for projection in self._projections.values():
                    projection.apply(committed.position, committed.event)
            position = batch[-1].position

    async def stop(self) -> None:
        """Stop, and write the last checkpoints."""
        if self._task.alive:
            await self._task.stop()
            await self.save()

    @property
    def folded(self) -> int:
        """The newest position that any projection has folded."""
        return max(p.position for p in self._projections.values())

    def forget(self) -> None:
        """Remove the checkpoints, which tell of events that the log does not have. Blocks."""
        for path in self._directory.glob("*.projection"):
            path.unlink()
        self._saved.clear()

    def lag(self, newest: int) -> dict[str, int]:
        """How far each projection is behind `newest`, by name."""
        return {name: newest - p.position for name, p in self._projections.items()}

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._config.checkpoint_every_s)
            await self.save()

    async def save(self) -> None:
        """Write the checkpoint of every projection that has changed."""
        for name, projection in self._projections.items():
            if projection.position == self._saved.get(name):
                continue
            position, data = projection.position, projection.to_checkpoint()
            try:
                await self._store.run_reader(write_checkpoint, self._directory / f"{name}.projection", data, self._store.keys)
                self._saved[name] = position
            except (OSError, Unavailable) as error:
                log.warning("projector.checkpoint_failed", projection=name, error=type(error).__name__)
            except Exception:  # the next checkpoint may succeed, and a server that stops goes on stopping
                log.exception("projector.checkpoint_failed", projection=name)


def read_checkpoint(path: Path, keys: KeyStore) -> dict[str, Any] | None:
    """The data of a checkpoint; None when there is none that can be read and that this server wrote: the log has it all. Raises
    `Unavailable` when the keys are away."""
    try:
        data = unpack_snapshot(checked(keys.own(), place_of(path), path.read_bytes()), keys)
    except FileNotFoundError:
        return None
    except NotOurs as error:
        log.warning("projector.checkpoint_not_ours", projection=path.stem, reason=str(error))
        return None
    except (OSError, ValueError, msgpack.UnpackException) as error:
        log.warning("projector.checkpoint_unreadable", projection=path.stem, error=type(error).__name__)
        return None
    return data if isinstance(data, dict) else None


def write_checkpoint(path: Path, data: dict[str, Any], keys: KeyStore) -> None:
    """Write a checkpoint, whole or not at all. Raises `OSError`, `Unavailable`."""
    packed = proven(keys.own(), place_of(path), pack_snapshot(data, keys))
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(packed)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def place_of(path: Path) -> str:
    """What the proof of a checkpoint is bound to: its server's directory and its name, because servers may share a key."""
    return f"checkpoint {path.parent.name}/{path.stem}"
