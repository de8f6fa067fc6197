"""A server's seals are kept by the Global Server, where that server cannot change them. Rule: nobody speaks for another server.

LogSealed (any home) -> the Global Server: WitnessSeal -> SealReceived
"""

from collections.abc import Sequence

from domain.events.integrity import LogSealed, SealEvent
from domain.integrity.chain import Seal
from domain.integrity.commands import WitnessSeal


def witness(event: LogSealed, source: str, server: str) -> Sequence[WitnessSeal]:
    """The policy of the Global Server: it keeps the seals of all others, as told by themselves."""
    if event.server != source or source == server:
        return ()
    seal = seal_of(event)
    number, sealed_at = event.originator_version, event.at
    return (
        WitnessSeal(
            server=source, seal=seal, life=event.life, signature=event.signature, number=number, sealed_at=sealed_at, cause=event.cause
        ),
    )


def seal_of(event: SealEvent) -> Seal:
    """The seal that an event tells of."""
    return Seal(event.first, event.last, event.count, event.gaps, event.previous, event.digest, event.marks)
