"""The bounds of an outbox, and what its publishers do between their batches. Rule: values and promises only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.errors import Unavailable
from servers.messaging.receivers import MOST_WAITING, MOST_WAITING_BYTES
from servers.messaging.recent_commits import MAX_BYTES, MAX_EVENTS
from servers.store.event_store import Committed


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """The bounds of one outbox."""

    max_batch: int = MOST_WAITING  # events per publication: about 300 KB, well below a broker's liking
    max_batch_bytes: int = MOST_WAITING_BYTES  # …and this many bytes, when the texts are long
    max_events: int = MAX_EVENTS  # in memory
    max_bytes: int = MAX_BYTES  # in memory
    history_linger_s: float = 0.05  # an audit that is a twentieth of a second behind is live; a busy home then publishes hundreds at once
    save_after_s: float = 1.0  # how long an idle publisher waits before it stores its position: a crash then repeats one second at most
    first_retry_s: float = 0.2  # pause while the broker is away; it doubles up to the longest
    longest_retry_s: float = 5.0
    late_look_s: float = 1.0  # between two looks for confirms that are late


class Sender(Protocol):
    """What a publisher sends by."""

    async def send(self, batch: Sequence[Committed]) -> Mapping[str, int]:
        """Publish what these events, the next ones of the log, bring others, or put it on its way. Returns further positions that are to be
        stored together with the publisher's own. Raises `Unavailable`."""

    def open_from(self) -> int:
        """Everything below this position is confirmed."""

    async def rewind(self) -> None:
        """Something could not be published: what is not confirmed is handed out once more."""

    @property
    def failure(self) -> Unavailable | None:
        """Why what was put on its way came to nothing; then `rewind` follows."""

    @property
    def starting(self) -> bool:
        """Whether what it needs to begin is still on its way, as at a first start: for a while that is no failure."""

    @property
    def behind(self) -> bool:
        """Whether there is something to send again now, between two batches."""

    async def send_again(self) -> Mapping[str, int]:
        """Do a portion of it. Returns further positions to be stored. Raises `Unavailable`."""
