"""What the ops ask of the Global Server from the command line. Rule: a wish lies among the Global Server's records, so that only who works
on its machine can make one; the running Global Server fulfils it, and takes it away when it is done.
"""

import secrets
from typing import Literal

from msgspec import MsgspecError, Struct, msgpack

from servers.trust.records import WISH, Records


class Wish(Struct, frozen=True, kw_only=True):
    """`allow`: `home` may be reached at `url`; `revoke`: nobody believes `home` any more."""

    kind: Literal["allow", "revoke", "accept"]
    home: str
    url: str = ""


def make_wish(records: Records, wish: Wish) -> str:
    """Leave a wish for the Global Server; the name of its record, which is gone when the wish was fulfilled. Blocks. Raises
    `Unavailable`."""
    name = WISH + secrets.token_hex(8)
    records.put(name, msgpack.encode(wish))
    return name


def read_wish(stored: bytes) -> Wish | None:
    """A stored wish; None when it is none."""
    try:
        return msgpack.decode(stored, type=Wish)
    except MsgspecError:
        return None
