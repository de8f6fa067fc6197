"""Every JSON shape that the Global Server says to users and integrators. Rule: a shape stands here once and is encoded from here."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from domain.profile import PROFILE_FIELDS
from servers.sessions.views import Status

PROFILE_KEYS = Meta(extra_json_schema={"propertyNames": {"enum": list(PROFILE_FIELDS)}})


class Home(Struct):
    """The home where a user lives."""

    name: str
    url: str


class Grant(Struct, omit_defaults=True):
    """A token for the user's home, when it ends, and the home. `global_token`: the one for the Global Server, where the client asked for
    separate tokens; without it, `token` is good for both."""

    uid: int
    handle: str
    home: Home
    token: str
    expires_at: str
    global_token: str | UnsetType = UNSET


class User(Struct):
    """A user as others see them."""

    uid: int
    handle: str
    home: Home
    profile: Annotated[dict[str, str], PROFILE_KEYS]


class Users(Struct):
    """One page of a search. `next`: the cursor of the next page, null on the last."""

    users: list[User]
    next: str | None


class UserPresence(Struct):
    """A user's status in the feed. `id`: of the CloudEvent that reported it, `<home>/user-<uid>/<version>`."""

    uid: int
    handle: str
    home: str
    status: Status
    since: str | None
    id: str | None


class PresencePage(Struct):
    """A snapshot, or one page of it. `silent`: homes not heard of; `cursor`: go on from here; `next`: the next page, null on the last."""

    users: list[UserPresence]
    silent: list[str]
    cursor: str
    next: str | None


class Homes(Struct):
    """The part `homes` of the presence stream. `silent`: homes not heard of."""

    silent: list[str]
    blank_s: float


Kind = Annotated[str, Meta(extra_json_schema={"enum": ["user", "address", "home"]})]


class Heavy(Struct):
    """What somebody used of one server in the last minute, at least: seconds of CPU, bytes of requests and answers, seconds of waiting in
    all. `who`: a handle, an address or the name of a home."""

    kind: Kind
    who: str
    cpu_s: float
    bytes: int
    waited_s: float


class ServerLoad(Struct):
    """One server in the last minute. `answers`: false for a home that cannot be asked; then the figures are null. `cpu_s`: of all;
    `waiting`: requests and mails that wait for turns at a tenth."""

    server: str
    answers: bool
    cpu_s: float | None
    waiting: int | None
    heaviest: list[Heavy]


class Throttle(Struct):
    """Who has turns at a tenth, until when, and whose deed it was."""

    kind: Kind
    who: str
    until: str
    by: str


class HeavyUse(Struct):
    """Every server, and every throttle that holds."""

    servers: list[ServerLoad]
    throttles: list[Throttle]
