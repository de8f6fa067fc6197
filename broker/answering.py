"""Runs the handler of a request. Rule: a handler that fails sends no answer, because the requester has a timeout; the log has the cause."""

from collections.abc import Awaitable, Callable

import structlog

from domain.errors import Unavailable

log = structlog.get_logger(__name__)


async def answer_of(key: str, handler: Callable[[bytes], Awaitable[bytes]], body: bytes) -> bytes | None:
    """The answer of the handler, or None when the handler raised."""
    try:
        return await handler(body)
    except Unavailable as error:  # for example, the home has just lost its lease, or its store is away
        log.info("broker.request_unanswered", key=key, error=error.detail)
    except Exception:
        log.exception("broker.request_failed", key=key)
    return None
