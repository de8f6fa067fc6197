"""Dumps on their way through a file. Rule: only what the bytes hold comes back; personal values are plain again, as after unsealing."""

from typing import Any

import msgpack


def through_msgpack(data: Any) -> Any:
    """What a dump is after it was stored and read."""
    return msgpack.unpackb(msgpack.packb(data, default=lambda personal: personal.value), strict_map_key=False)
