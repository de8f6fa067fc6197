"""Snapshots and checkpoints on their way through a file. Rule: only what the bytes hold comes back; personal values are plain again, as
after decryption."""

from typing import Any

import msgpack


def through_msgpack(data: Any) -> Any:
    """What a snapshot or a checkpoint is after it was stored and read."""
    return msgpack.unpackb(msgpack.packb(data, default=lambda personal: personal.value), strict_map_key=False)


def restored(fresh: Any, state: Any) -> Any:
    """`fresh`, a new state, as the store fills it from the snapshot of `state`."""
    fresh.from_snapshot(through_msgpack(state.to_snapshot()))
    fresh.version = state.version
    return fresh
