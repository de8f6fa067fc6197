"""The bounds of the writer and of the projector. Rule: every figure has its reason beside it, and tests hand in their own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WriterConfig:
    """The bounds of one writer."""

    max_events: int = 256  # per transaction, and one unit more: some 5 ms on the loop before the commit, and as much behind it
    max_bytes: int = 1_000_000  # of texts per transaction, and one unit more: some 5 ms to encrypt and to write
    max_load_bytes: int = 500_000  # of snapshots and events read for one transaction, and one state more: some 10 ms
    max_waiting: int = 20_000  # units in all lanes: past that a caller hears `Unavailable` at once instead of waiting for seconds
    max_lane: int = 1_000  # units of one user or server: whoever has more in hand is refused before anybody else is
    max_waiting_bytes: int = 64_000_000  # of their texts; a lane may hold a quarter of it
    max_state_bytes: int = 128_000_000  # of states between two batches: ten thousand people, or a thousand who have sent 4,096 messages
    snapshot_bytes: int = 128_000  # of a stream's events since its snapshot, or as many as the snapshot has: some 4 ms to fold
    snapshot_events: int = 2_000  # since its snapshot, however large that is: 17 ms to fold, about what the largest snapshot takes to open
    leaving_bytes: int = 4_000  # of a stream's events, before its state leaves a snapshot when it has to make room: some 0.2 ms to fold
    max_found: int = 1_000  # events read at a time after a commit whose result is unknown
    ride_every_s: float = 0.25  # how often a commit takes along the outbox's positions: a statement in each commit would delay them all


@dataclass(frozen=True, slots=True)
class ProjectorConfig:
    """The intervals of one projector."""

    checkpoint_every_s: float = 60.0  # a restart after a crash folds at most a minute of events
    catch_up: int = 2_000  # events read at a time: about 1 MB
