"""The bounds of an outbox, and what its publishers do between their batches. Rule: values and promises only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from servers.messaging.recent_commits import MAX_BYTES, MAX_EVENTS


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """The bounds of one outbox."""

    max_batch: int = 1_000  # events per publication: about 300 KB, well below a broker's liking
    max_batch_bytes: int = 1_000_000  # …and this many bytes, when the texts are long
    max_events: int = MAX_EVENTS  # in memory
    max_bytes: int = MAX_BYTES  # in memory
    history_linger_s: float = 0.05  # an audit that is a twentieth of a second behind is live; a busy home then publishes hundreds at once
    save_after_s: float = 1.0  # how long an idle publisher waits before it stores its position: a crash then repeats one second at most
    first_retry_s: float = 0.2  # pause while the broker is away; it doubles up to the longest
    longest_retry_s: float = 5.0


class SendsAgain(Protocol):
    """What a publisher does between its batches."""

    @property
    def starting(self) -> bool:
        """Whether what it needs to begin is still on its way, as at a first start: for a while that is no failure."""

    @property
    def behind(self) -> bool:
        """Whether there is something to do now."""

    async def send_again(self) -> Mapping[str, int]:
        """Do a portion of it. Returns further positions to be stored. Raises `Unavailable`."""
