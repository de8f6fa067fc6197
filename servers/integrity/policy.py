"""How often a server seals its log. Rule: the defaults of the settings stand here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SealPolicy:
    """A seal covers at most `events` events, 2 or more, and an event waits at most about `seconds` for its seal. `retry_s`: the
    pause while the store is away."""

    events: int = 1_000
    seconds: float = 10.0
    retry_s: float = 1.0
