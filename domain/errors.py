"""Every error that the rules and the servers report, in one tree. `code` is what travels; the docstring is the default message.

A room that adds errors draws them below these, in its own `errors.py`, `problems.py` or `__init__.py`.

FlashError
├── Rejected                  the caller's fault; changes nothing
│   ├── Invalid               422  a field is missing, mistyped, unknown or out of bounds
│   ├── Malformed             400  not HTTP, not JSON, not an envelope
│   ├── TooLarge              413
│   ├── Unauthorized          401  no token, or one that is expired, forged or for something else
│   ├── BadCredentials        401
│   ├── Forbidden             403
│   │   ├── NotAContact       403
│   │   ├── NotAnIntegrator   403
│   │   └── NotGranted        403  names the uids
│   ├── NotFound              404
│   │   ├── UnknownUser       404
│   │   ├── UnknownMessage    404
│   │   ├── NotSent           404  another server's receipt fits no message
│   │   └── NoRoute           404
│   ├── Conflict              409
│   │   ├── HandleTaken       409
│   │   └── UnknownSession    409
│   ├── Gap                   410
│   ├── NotYourHome           421  names the right home
│   └── TooManyRequests       429
└── Unavailable               503  try again; changes nothing
    └── UidTaken              503  of two Global Servers that register someone at once, one tries again
"""

from typing import Any


class FlashError(Exception):
    """Something went wrong."""

    code = "error"

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        """`detail`: one sentence for people. `extra`: fields for programs (`field`, `expected`, `uid`, …)."""
        doc = type(self).__doc__ or ""
        self.detail = detail or doc.splitlines()[0]
        self.extra = extra
        super().__init__(self.detail)


class Rejected(FlashError):
    """The request was refused."""

    code = "rejected"


class Invalid(Rejected):
    """A field is missing, mistyped, unknown or out of bounds."""

    code = "invalid"

    def __init__(self, field: str, expected: str) -> None:
        """`field`: the offending field's name; `expected`: what would have been right."""
        super().__init__(f"{field}: expected {expected}", field=field, expected=expected)


class Malformed(Rejected):
    """The request is not well-formed."""

    code = "malformed"


class TooLarge(Rejected):
    """The request or one of its fields is larger than allowed."""

    code = "too_large"


class Unauthorized(Rejected):
    """A valid bearer token is needed."""

    code = "unauthorized"


class BadCredentials(Rejected):
    """The handle or the password is wrong."""

    code = "bad_credentials"


class Forbidden(Rejected):
    """This user may not do that."""

    code = "forbidden"


class NotAContact(Forbidden):
    """The recipient is not on your contact list."""

    code = "not_a_contact"


class NotAnIntegrator(Forbidden):
    """Presence is for integrators. This user is none, or has a token from before they became one."""

    code = "not_an_integrator"


class NotGranted(Forbidden):
    """This integrator was not granted the presence of some of these users."""

    code = "not_granted"


class NotFound(Rejected):
    """There is nothing at this address."""

    code = "not_found"


class UnknownUser(NotFound):
    """There is no such user."""

    code = "unknown_user"


class UnknownMessage(NotFound):
    """You have received no such message."""

    code = "unknown_message"


class NotSent(NotFound):
    """No such message was sent to this user."""

    code = "not_sent"


class NoRoute(NotFound):
    """There is no direct way to this user. Send as usual."""

    code = "no_route"


class Conflict(Rejected):
    """The request does not fit the present state."""

    code = "conflict"


class HandleTaken(Conflict):
    """Another user has this handle."""

    code = "handle_taken"


class UnknownSession(Conflict):
    """There is no such session. Open a back connection again."""

    code = "unknown_session"


class Gap(Rejected):
    """This cursor is not known, or is too old. Take a new snapshot."""

    code = "gap"


class NotYourHome(Rejected):
    """This user lives at another home."""

    code = "not_your_home"


class TooManyRequests(Rejected):
    """There are too many requests. Slow down."""

    code = "too_many_requests"


class Unavailable(FlashError):
    """A part of the system that is needed is away. Try again."""

    code = "unavailable"


class UidTaken(Unavailable):
    """Another Global Server gave this number to another user first. Try again with the next one."""
