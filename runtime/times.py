"""Times at the border. Rule: seconds since 1970 inside, RFC 3339 UTC with microseconds outside.

What was stored of a time beyond the year 9999, which RFC 3339 cannot say, is told as its last second.
"""

from datetime import UTC, datetime
from functools import lru_cache

from domain.user.decide import LAST_MOMENT


@lru_cache(maxsize=256)  # when a message was accepted is told to its sender and its recipient, right after a commit
def rfc3339(seconds: float) -> str:
    """`0.5` → `1970-01-01T00:00:00.500000Z`. About 0.5 µs."""
    whole = int(seconds)
    micros = round((seconds - whole) * 1e6)
    if micros == 1_000_000:
        whole, micros = whole + 1, 0
    return f"{_second(whole)}.{micros:06d}Z"


@lru_cache(maxsize=1024)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(min(whole, LAST_MOMENT), UTC).strftime("%Y-%m-%dT%H:%M:%S")
