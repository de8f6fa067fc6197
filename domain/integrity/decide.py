"""Whether a seal is stored. Rule: pure; a server stores only the seal that continues its own, a witness keeps every seal it is told."""

from dataclasses import asdict

from domain.aggregate import Deciders
from domain.event import Event
from domain.events.integrity import LogSealed, SealReceived
from domain.integrity.chain import before_all
from domain.integrity.commands import SealLog, WitnessSeal
from domain.integrity.state import SealedState


def seal_log(state: SealedState, command: SealLog, now: float) -> list[Event]:
    """Nothing happens when the log is sealed beyond what this seal continues: another process on the same store was first."""
    if command.seal.first != state.last + 1:
        return []
    return [
        LogSealed(
            **asdict(command.seal), server=command.server, life=command.life, signature=command.signature, at=now, cause=command.cause
        )
    ]


def witness_seal(state: SealedState, command: WitnessSeal, now: float) -> list[Event]:
    """Every seal is kept, also one that contradicts those before, because that is what a witness is for."""
    seal = command.seal
    follows = seal.first == state.last + 1 and seal.previous == (state.digest or before_all(command.server))
    return [
        SealReceived(
            **asdict(seal),
            server=command.server,
            life=command.life,
            signature=command.signature,
            number=command.number,
            sealed_at=command.sealed_at,
            follows=follows,
            at=now,
            cause=command.cause,
        )
    ]


DECIDERS: Deciders = {SealLog: seal_log, WitnessSeal: witness_seal}
