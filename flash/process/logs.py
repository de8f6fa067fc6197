"""How the process logs: one line per event, fields instead of sentences.

Rule: the log is quiet when all is well, and never holds message text, passwords or tokens.
"""

import contextlib
import logging
import sys
from typing import TextIO, cast

import structlog


class _Tireless:
    """Standard error that never fails, because a full disk under the log must not stop the server that reports it."""

    def write(self, text: str) -> int:
        """Write the text, or lose it."""
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or lose what was not written yet."""
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def set_up_logs(level: str, form: str) -> None:
    """Log to standard error, as text for people (`console`) or one JSON object per line (`json`)."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _Tireless())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    for chatty in ("aiormq", "aio_pika"):  # both report every lost connection with a traceback, and our own line reports it already
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
