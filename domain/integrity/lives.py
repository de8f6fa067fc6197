"""Lives of a log: what a log is from its making, or from a restore, to the next. Rule: a life's number is drawn by chance, once.

Positions alone do not tell two logs of one server apart: one that was emptied, or is an older copy, counts the same numbers again.
Everybody who remembers how far a log had come remembers its life as well.
"""

import secrets

from domain.events.integrity import LifeBegan

LIFE_BITS = 63  # a life is a number that every database can hold


def life_stream(server: str) -> str:
    """Where the lives of a log are told."""
    return f"life-{server}"


def new_life() -> int:
    """A number that no other life has."""
    return secrets.randbits(LIFE_BITS - 1) + 1


def first_life(server: str, agreed: int, now: float) -> LifeBegan:
    """The first life of a log. `agreed`: how far the log had come before logs had lives."""
    return life_began(server, version=1, former=0, agreed=agreed, now=now)


def life_began(server: str, *, version: int, former: int, agreed: int, now: float) -> LifeBegan:
    """Another life of a log, the `version`th that this log tells of."""
    life = new_life()
    return LifeBegan(
        server=server,
        life=life,
        former=former,
        agreed=agreed,
        at=now,
        cause=f"life-{life}",
        originator_id=life_stream(server),
        originator_version=version,
    )
