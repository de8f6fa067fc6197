"""What the forms of the ops console may send. Rule: unknown fields are refused, and nothing unbounded passes.

A browser sends an empty field as "", so every field allows it.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta

from domain.errors import Invalid
from domain.values import LAST_MOMENT
from edge.contracts.requests import Request

Short = Annotated[str, Meta(max_length=64)]
Path = Annotated[str, Meta(max_length=512)]
Seconds = Annotated[int, Meta(ge=0, le=LAST_MOMENT)]


class SignInPage(Request, frozen=True):
    """`GET /ops/login`. `next`: where to go afterwards."""

    next: Path = ""


class SignIn(Request, frozen=True):
    """`POST /ops/login`. The bounds are wide: a handle or password that no user can have is answered as a wrong one."""

    handle: Annotated[str, Meta(max_length=256)]
    password: Annotated[str, Meta(max_length=1_024)]
    next: Path = ""


class Events(Request, frozen=True):
    """`GET /ops` and `GET /ops/tail`: the filter of events. `user`: handle or uid; `since`, `until`: see `read_time`; `after`: where a tail
    begins; `cursor`: of a page."""

    user: Short = ""
    server: Short = ""
    topic: Short = ""
    message: Short = ""
    since: Short = ""
    until: Short = ""
    cursor: Short = ""
    after: Short = ""


class OneUser(Request, frozen=True):
    """`GET /ops/user`. `who`: handle or uid; `at`: a moment; `cursor`: of a page of the timeline."""

    who: Short
    at: Short = ""
    cursor: Short = ""


class OneMessage(Request, frozen=True):
    """`GET /ops/trace`."""

    message: Short


class Moment(Request, frozen=True):
    """`GET /ops/presence`: `t` in seconds since 1970 from the slider, or `at` as written."""

    t: Seconds | None = None
    at: Short = ""


class DeadPage(Request, frozen=True):
    """`GET /ops/dead`. `requeued`, `dropped`: how many dead letters the change before this page moved."""

    requeued: Seconds | None = None
    dropped: Seconds | None = None


class OneHome(Request, frozen=True):
    """`POST /ops/homes/revoke`: the home's name."""

    home: Annotated[str, Meta(min_length=1, max_length=32)]


class EndThrottle(Request, frozen=True):
    """`POST /ops/heavy/end`: whose turns come as everybody's again."""

    kind: Literal["user", "address", "home"]
    name: Annotated[str, Meta(min_length=1, max_length=64)]


class Throttle(EndThrottle, frozen=True):
    """`POST /ops/heavy/throttle`: whose turns come at a tenth, and for how many minutes."""

    minutes: Annotated[int, Meta(ge=1, le=43_200)] = 60


class OneLetter(Request, frozen=True):
    """`POST /ops/dead/requeue` and `/ops/dead/drop`: a letter's id, or `all` to put back all that are shown."""

    letter: Annotated[str, Meta(min_length=1, max_length=64)]


def read_time(name: str, value: str) -> float | None:
    """`2026-11-23T21:30` and the like as seconds since 1970; it is UTC unless it names a zone. An empty value is None. Raises `Invalid`."""
    if not value:
        return None
    try:
        when = datetime.fromisoformat(value)
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        if not 0 <= seconds <= LAST_MOMENT:
            raise ValueError
        return seconds
    except (ValueError, OverflowError):
        raise Invalid(name, "a time such as 2026-11-23T21:30:00") from None
