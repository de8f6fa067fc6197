"""Every error the SDK raises, in one tree. Rule: no message holds a text, a password or a token.

FlashClientError
├── Refused             the server said no: `code`, `status`, `detail`, `extra`
│   ├── Unauthorized    401  the token is missing, expired or forged: log in again
│   ├── NotAContact     403  the recipient must be on the contact list first
│   ├── UnknownSession  409  the home no longer has this session: open a back connection again
│   └── TryLater        429, 5xx  the same request may succeed later
├── Unreachable         no answer came, so nobody knows what happened to the request
│   └── Unanswered      a connection was made, but no head of an answer came in time: something may hold it back
└── ProtocolError       the answer was not in Flash's protocol (a captive portal, a proxy that refuses)
"""

from typing import Any


class FlashClientError(Exception):
    """Something went wrong. `detail`: one sentence for people. `extra`: fields for programs."""

    def __init__(self, detail: str, **extra: Any) -> None:
        self.detail = detail
        self.extra: dict[str, Any] = extra
        super().__init__(detail)


class Refused(FlashClientError):
    """The server refused. `code` is the stable word of the protocol (`handle_taken`), `status` the HTTP status."""

    def __init__(self, code: str, status: int, detail: str, extra: dict[str, Any] | None = None) -> None:
        super().__init__(detail, **(extra or {}))
        self.code = code
        self.status = status

    def __str__(self) -> str:
        return f"{self.detail} ({self.code})"


class Unauthorized(Refused):
    """The token is missing, expired or forged."""


class NotAContact(Refused):
    """The recipient is not on the contact list."""


class UnknownSession(Refused):
    """The home has no such session."""


class TryLater(Refused):
    """The server cannot do it now. `retry_after_s`: the wait that the server asked for, if it named one."""

    retry_after_s: float | None = None


class Unreachable(FlashClientError):
    """No answer came. After a send, `extra["id"]` is the id to send again with, so that the message is never doubled."""


class Unanswered(Unreachable):
    """The connection was made, and no answer came in time."""


class ProtocolError(FlashClientError):
    """The answer was not in Flash's protocol."""


_BY_CODE: dict[str, type[Refused]] = {"unauthorized": Unauthorized, "not_a_contact": NotAContact, "unknown_session": UnknownSession}


_LATER = frozenset({408, 425, 429})  # and every 5xx


def is_later(status: int) -> bool:
    """Whether the same request may succeed later, whether a server or a proxy gave this status."""
    return status >= 500 or status in _LATER


def refusal(code: str, status: int, detail: str, extra: dict[str, Any] | None = None) -> Refused:
    """The `Refused` for this answer, of its own subclass if there is one."""
    kind = TryLater if is_later(status) else _BY_CODE.get(code, Refused)
    return kind(code, status, detail, extra)
