"""Refusals as `application/problem+json` (RFC 9457). Rule: this is the only table from errors to HTTP status codes.

HTTP adds three errors to the tree in `domain/errors.py`:

Malformed
└── NotInTime          408

Rejected
└── MethodNotAllowed   405  names the methods that are allowed

FlashError
└── Internal           500  a mistake of ours; the log says more
"""

from types import TracebackType
from typing import Any

import structlog

from domain import errors
from edge.http.messages import Answer, encode_json

log = structlog.get_logger(__name__)


class Internal(errors.FlashError):
    """The server made a mistake. Its log says more."""

    code = "internal"


class NotInTime(errors.Malformed):
    """The request did not arrive completely in time."""


class MethodNotAllowed(errors.Rejected):
    """This address exists, but not for this method."""

    code = "method_not_allowed"


# An error that is missing here has the status of its nearest ancestor that is not.
STATUS: dict[type[errors.FlashError], int] = {
    errors.FlashError: 500,
    errors.Rejected: 400,
    errors.Malformed: 400,
    NotInTime: 408,
    errors.Unauthorized: 401,
    errors.BadCredentials: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.Gap: 410,
    errors.TooLarge: 413,
    errors.NotYourHome: 421,
    errors.Invalid: 422,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
    Internal: 500,
}

PROBLEM_JSON = b"application/problem+json"
_OWN_FIELDS = frozenset({"type", "title", "status", "detail", "code"})
RETRY_AFTER_S = 1  # for errors that name no time of their own


def status_of(error: type[errors.FlashError]) -> int:
    """The HTTP status of an error class."""
    return next(STATUS[ancestor] for ancestor in error.__mro__ if ancestor in STATUS)


def problem(error: errors.FlashError) -> Answer:
    """The refusal for `error`; its `extra` fields travel beside the standard ones."""
    kind = type(error)
    status = status_of(kind)
    body: dict[str, Any] = {
        "type": f"urn:flash:problem:{error.code}",
        "title": (kind.__doc__ or error.code).splitlines()[0],
        "status": status,
        "detail": error.detail,
        "code": error.code,
    }
    body.update((name, value) for name, value in error.extra.items() if name not in _OWN_FIELDS)
    return Answer(status, encode_json(body), PROBLEM_JSON, _headers(status, error))


def problem_for(error: Exception, route: str) -> tuple[Answer, str]:
    """The refusal for anything a server raised, and its code. Anything but a `FlashError` is a mistake of ours. It is logged
    here once, by kind and place only, because its message may quote a user."""
    if isinstance(error, errors.FlashError):
        return problem(error), error.code
    log.error("edge.unhandled", route=route, error=type(error).__qualname__, at=_places(error.__traceback__))
    return problem(Internal()), Internal.code


def _headers(status: int, error: errors.FlashError) -> bytes:
    if status == 401:
        return b"WWW-Authenticate: Bearer\r\n"
    if status == 405:
        return f"Allow: {', '.join(error.extra.get('allow', ()))}\r\n".encode()
    if status in (429, 503):
        return f"Retry-After: {max(1, round(error.extra.get('retry_after_s', RETRY_AFTER_S)))}\r\n".encode()
    return b""


def _places(traceback: TracebackType | None) -> list[str]:
    """The innermost places of a traceback, as `module:line`."""
    places = []
    while traceback is not None:
        places.append(f"{traceback.tb_frame.f_globals.get('__name__', '?')}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return places[-5:]  # enough to see the caller of the library that raised
