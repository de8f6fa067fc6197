"""The bounds of the writer and of the projector. Rule: every figure has its reason beside it, and tests hand in their own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WriterConfig:
    """The bounds of one writer."""

    max_batch: int = 128  # units per transaction: bounds the time between two answers to about 20 ms, also when hundreds log in at once
    max_waiting: int = 20_000  # units in the queue: past that a caller hears `Unavailable` at once instead of waiting for seconds
    max_states: int = 2_400  # a thousand people who talk and their mailboxes, at about 1 KB each
    max_found: int = 1_000  # events read at a time after a commit whose result is unknown
    ride_every_s: float = 0.25  # how often a commit takes along the outbox's positions: a statement in each commit would delay them all


@dataclass(frozen=True, slots=True)
class ProjectorConfig:
    """The intervals of one projector."""

    checkpoint_every_s: float = 60.0  # a restart after a crash folds at most a minute of events
    catch_up: int = 2_000  # events read at a time: about 1 MB
