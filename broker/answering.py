"""What a server says that is asked. Rule: one that cannot answer says nothing, for who asks has set a time; the log says why."""

from collections.abc import Awaitable, Callable

import structlog

from domain.errors import Unavailable

log = structlog.get_logger(__name__)


async def answer_of(key: str, handler: Callable[[bytes], Awaitable[bytes]], body: bytes) -> bytes | None:
    """The handler's answer; None when it has raised."""
    try:
        return await handler(body)
    except Unavailable as error:  # such as of a home that has just lost its lease, or whose store is away
        log.info("broker.request_unanswered", key=key, error=error.detail)
    except Exception:
        log.exception("broker.request_failed", key=key)
    return None
