"""Times at the border. Rule: seconds since 1970 inside, RFC 3339 UTC with microseconds outside."""

from datetime import UTC, datetime
from functools import lru_cache

LAST_SECOND = datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp()  # of the year 9999


@lru_cache(maxsize=1024)  # a message's sender and recipient hear the same time, and many users have the same contact: 0.1 instead of 1.5 µs
def rfc3339(seconds: float) -> str:
    """`0.5` → `1970-01-01T00:00:00.500000Z`. A time after the year 9999, which RFC 3339 cannot express, becomes that year's last second."""
    moment = datetime.fromtimestamp(seconds if seconds < LAST_SECOND + 1 else LAST_SECOND, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
