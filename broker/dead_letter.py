"""Dead letters as people look at them. Rule: what a letter says of itself may be junk; reading it never fails.

Headers of a letter: why it could not be handled, which queue it came from, and when. One that RabbitMQ itself set aside has only
RabbitMQ's own headers.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from broker.topology import AT_HEADER, QUEUE_HEADER, REASON_HEADER, RETURNED_HEADER

MAX_LETTERS = 200  # looked at in one visit: a page for people; who has more has one cause for all of them
ID_BYTES = 12  # nobody makes two different letters with the same one by accident

_RABBIT_REASON, _RABBIT_QUEUE = "x-first-death-reason", "x-first-death-queue"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of `flash.dead`. `id`: the same at every look; `queue`: where it came from; `at`: seconds since 1970, or None."""

    id: str
    queue: str
    reason: str
    at: float | None
    body: bytes


def headers_of_a_letter(headers: Mapping[str, object], queue: str, reason: str) -> dict[str, object]:
    """What a message carries from now on that goes from `queue` to `flash.dead`."""
    return {**headers, REASON_HEADER: reason, QUEUE_HEADER: queue, AT_HEADER: time.time_ns() // 1_000}


def read_letter(headers: Mapping[str, object], body: bytes) -> DeadLetter:
    """The letter. Two that agree in everything share an id: it does not matter which of them is meant."""
    queue = _text(headers.get(QUEUE_HEADER) or headers.get(_RABBIT_QUEUE))
    reason = _text(headers.get(REASON_HEADER) or headers.get(_RABBIT_REASON))
    micros = headers.get(AT_HEADER)
    digest = hashlib.blake2b(repr((queue, reason, micros)).encode(errors="replace") + body, digest_size=ID_BYTES)
    return DeadLetter(digest.hexdigest(), queue, reason, micros / 1e6 if isinstance(micros, int) else None, body)


def headers_of_a_return(headers: Mapping[str, object]) -> dict[str, object]:
    """What a letter still carries when it goes back to its queue: what it had before it died, and that it was put back."""
    return {name: value for name, value in headers.items() if not name.startswith(("flash-", "x-"))} | {RETURNED_HEADER: 1}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""
