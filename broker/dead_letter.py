"""Dead letters as people look at them. Rule: the headers of a dead letter may be junk; reading it never fails.

The headers say why a message could not be handled, which queue it came from, and when. A message that RabbitMQ itself made a dead letter
has only RabbitMQ's own headers.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from broker.topology import AT_HEADER, QUEUE_HEADER, REASON_HEADER, RETURNED_HEADER

MAX_DEAD_LETTERS = 200  # read in one visit, which is a page for people; more dead letters than that have one common cause
ID_BYTES = 12  # long enough that two different dead letters do not get the same id by accident

_RABBIT_REASON, _RABBIT_QUEUE = "x-first-death-reason", "x-first-death-queue"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of `flash.dead`. `id` is the same at every visit; `queue` is where it came from; `at` is seconds since 1970, or None."""

    id: str
    queue: str
    reason: str
    at: float | None
    body: bytes


def dead_letter_headers(headers: Mapping[str, object], queue: str, reason: str) -> dict[str, object]:
    """The headers of a message that moves from `queue` to `flash.dead`."""
    return {**headers, REASON_HEADER: reason, QUEUE_HEADER: queue, AT_HEADER: time.time_ns() // 1_000}


def read_dead_letter(headers: Mapping[str, object], body: bytes) -> DeadLetter:
    """The dead letter that a message is. Two equal dead letters share an id, because it does not matter which of them is meant."""
    queue = _text(headers.get(QUEUE_HEADER) or headers.get(_RABBIT_QUEUE))
    reason = _text(headers.get(REASON_HEADER) or headers.get(_RABBIT_REASON))
    micros = headers.get(AT_HEADER)
    digest = hashlib.blake2b(repr((queue, reason, micros)).encode(errors="replace") + body, digest_size=ID_BYTES)
    return DeadLetter(digest.hexdigest(), queue, reason, micros / 1e6 if isinstance(micros, int) else None, body)


def returned_headers(headers: Mapping[str, object]) -> dict[str, object]:
    """The headers of a dead letter that goes back to its queue: those it had before it died, and one that says it was put back."""
    return {name: value for name, value in headers.items() if not name.startswith(("flash-", "x-"))} | {RETURNED_HEADER: 1}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""
