"""Reads moments as people type them. Rule: RFC 3339 or an unmistakable short form; UTC unless a zone is given."""

import re
from datetime import UTC, datetime

EXPECTED = "2026-11-23T21:15:00Z, 2026-11-23 21:15, 2026-11-23, 21:15 (today), 90s, 10m, 2h or 3d (ago), or now; UTC"

_AGO = re.compile(r"(\d{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DATED = re.compile(r"\d{4}-\d\d-\d\d.*")  # `datetime.fromisoformat` also takes week numbers and dates without hyphens
_TODAY = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?")


def moment(text: str, now: float) -> float:
    """The moment in seconds since 1970. Raises `ValueError`, whose text says what was expected."""
    text = text.strip()
    if text == "now":
        return now
    if (ago := _AGO.fullmatch(text)) is not None:
        return now - int(ago[1]) * _SECONDS[ago[2]]
    if _TODAY.fullmatch(text):
        text = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d} {text}"
    try:
        if _DATED.fullmatch(text) is None:
            raise ValueError
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"expected {EXPECTED}") from None
