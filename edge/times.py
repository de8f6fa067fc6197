"""Times at the border. Rule: seconds since 1970 inside, RFC 3339 UTC with microseconds outside."""

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """`0.5` → `1970-01-01T00:00:00.500000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
