"""The types and bounds of every request body and query. Rule: unknown fields are refused, and nothing unbounded passes."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from msgspec import Meta, Struct, defstruct

from domain.profile import HANDLE, MAX_FIELD_CHARS, PROFILE_FIELDS, ProfileField
from domain.values import CONTROL, MAX_TEXT_CHARS, Id, Number, Uid
from projections.directory.directory import DEFAULT_LIMIT, MAX_LIMIT, MAX_WORDS_CHARS

MAX_BODY_BYTES = 65_536  # 4,096 characters of text, each as two escaped surrogates, are 48 KiB; the rest of a request is small
MAX_WAIT_S = 60  # of a poll; common proxies cut longer requests

Seq = Number
Password = Annotated[str, Meta(min_length=8, max_length=256)]
# A client that asks so gets one token for its home and another one for the Global Server, and shows neither to the other server.
SeparateTokens = bool
Page = Annotated[str, Meta(pattern="^[0-9a-f]{1,16}$")]  # the `next` of an earlier page
# The domain's `clean_profile` refuses control characters, after it has trimmed the text; the description says the same.
_BLANK = r"[\s\u001c-\u001f\u0085]*"  # what `str.strip` takes away
PRINTABLE = {"pattern": f"^{_BLANK}[^{CONTROL}]*{_BLANK}$"}
Words = Annotated[str, Meta(max_length=MAX_WORDS_CHARS)]
FilledIn = Annotated[str, Meta(max_length=MAX_FIELD_CHARS, extra_json_schema=PRINTABLE)]
# Handles are compared in lower case, so capitals are allowed. The domain's `clean_handle` checks the pattern itself.
Handle = Annotated[
    str, Meta(min_length=2, max_length=32, extra_json_schema={"pattern": "^" + HANDLE.pattern.replace("a-z", "A-Za-z") + "$"})
]


class Request(Struct, forbid_unknown_fields=True, frozen=True):
    """A request body or query."""


# A field that is null or blank is emptied and a missing one stays. A mapping keeps the two apart, and a struct would not.
ProfileChanges = Annotated[dict[ProfileField, FilledIn | None], Meta(extra_json_schema={"propertyNames": {"enum": list(PROFILE_FIELDS)}})]


class Register(Request, frozen=True):
    """`POST /v1/users`."""

    handle: Handle
    password: Password
    profile: ProfileChanges = {}
    separate_tokens: SeparateTokens = False


class Credentials(Request, frozen=True):
    """`POST /v1/tokens`. The bounds are wide: a handle or password that no user can have is answered as a wrong one."""

    handle: Annotated[str, Meta(max_length=256)]
    password: Annotated[str, Meta(max_length=1_024)]
    separate_tokens: SeparateTokens = False


class ChangeProfile(Request, frozen=True):
    """`PATCH /v1/users/me`."""

    profile: ProfileChanges


class EraseMe(Request, frozen=True):
    """`POST /v1/users/me/erase`. `password`: once more, because a stolen token must not be enough."""

    password: Annotated[str, Meta(max_length=1_024)]


class Erase(Request, frozen=True):
    """`POST /v1/users/{uid}/erase`. The body has no field."""


class Resume(Request, frozen=True):
    """Where an earlier back connection ended. `session`: its name; `seq`: the number of the last message that arrived."""

    session: Id | None = None
    seq: Seq | None = None


class OpenBackConnection(Request, frozen=True):
    """`POST /v1/back-connection`. `client`: the client's name and version; `pong`: whether it answers blanks."""

    client: Annotated[str, Meta(max_length=64)] = ""
    pong: bool = False
    resume: Resume | None = None


class LogOff(Request, frozen=True):
    """`POST /v1/logoff`."""

    session: Id


class PutContact(Request, frozen=True):
    """`PUT /v1/contacts/{uid}`. `alias`: the user's name for the contact; `notify`: whether to announce that they come online."""

    alias: Annotated[str, Meta(max_length=64)] | None = None
    notify: bool = False


class SendMessage(Request, frozen=True):
    """`POST /v1/messages`. `id`: chosen by the client; a repeated one sends nothing twice. `ticket`: to be given a stamp."""

    id: Id
    to: Uid
    # The home refuses a longer text: with 413 and not with 422, so that a client can offer to shorten it.
    text: Annotated[str, Meta(min_length=1, extra_json_schema={"maxLength": MAX_TEXT_CHARS})]
    in_reply_to: Id | None = None
    urgent: bool = False
    ticket: Id | None = None


class Acknowledge(Request, frozen=True):
    """`POST /v1/acks`: every message up to `upto` has arrived; 0 only shows that the client lives."""

    session: Id
    upto: Seq


class Poll(Request, frozen=True):
    """`POST /v1/parts`. `session`: null opens one; `upto`: every message up to here has arrived; `wait_s`: how long to wait for a part.

    `client`, `replaces`: only to open a session: the client's name and version, and the session whose answer got lost.
    """

    session: Id | None = None
    upto: Seq = 0
    wait_s: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)] = 25.0  # below the 30 s after which impatient proxies give up
    client: Annotated[str, Meta(max_length=64)] = ""
    replaces: Id | None = None


class Done(Request, frozen=True):
    """`POST /v1/messages/{id}/done`. The body has no field."""


# 32 bytes in base64 are 43 signs and one "="; lengths alone would allow 31 to 33 bytes.
Key = Annotated[bytes, Meta(min_length=32, max_length=32, extra_json_schema={"pattern": "^[A-Za-z0-9+/]{43}=$"})]


class OfferDirect(Request, frozen=True):
    """`PUT /v1/direct`. `port`: where the client listens and from which this request comes; those below 1024 are the system's;
    `key`: a secret that both sides prove to know; `local`: the client's own address, for contacts behind the same NAT."""

    session: Id
    port: Annotated[int, Meta(ge=1024, le=65_535)]
    key: Key
    local: Annotated[str, Meta(max_length=45)] | None = None


class AskForTicket(Request, frozen=True):
    """`POST /v1/tickets`. `to`: the user whom the sender wants to reach directly."""

    to: Uid


class SetStatus(Request, frozen=True):
    """`PUT /v1/status`. `until`: when the status becomes online again; it must be to come."""

    status: Literal["online", "away", "dnd"]
    note: Annotated[str, Meta(max_length=256)] = ""
    until: Annotated[datetime, Meta(tz=True)] | None = None


class EndThrottle(Request, frozen=True):
    """`POST /v1/ops/throttles/end`. `name`: a handle or uid, an address, or the name of a home."""

    kind: Literal["user", "address", "home"]
    name: Annotated[str, Meta(min_length=1, max_length=64)]


class Throttle(EndThrottle, frozen=True):
    """`POST /v1/ops/throttles`. `for_s`: how many seconds it lasts, 30 days at most."""

    for_s: Annotated[int, Meta(ge=1, le=30 * 86_400)] = 3_600


Uids = Annotated[str, Meta(max_length=7_000, pattern=r"^[1-9][0-9]{0,18}(,[1-9][0-9]{0,18})*$")]  # what fits a request line


class Presence(Request, frozen=True):
    """`GET /v1/presence?…`. `uids`: of which users, separated by commas. Without it, everybody granted comes, `limit` users at a time;
    `page`: the `next` of the page before."""

    uids: Uids | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 1_000
    page: Page | None = None


class PresenceStream(Request, frozen=True):
    """`GET /v1/presence/stream?…`. `after`: the cursor to go on from, else only new changes come. `Last-Event-ID` counts more."""

    after: Annotated[str, Meta(max_length=64)] | None = None
    uids: Uids | None = None


class SearchPage(Request, frozen=True):
    """What every search names. `q`: words in any field; `cursor`: the `next` of the page before."""

    q: Words = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: Page | None = None


_FIELDS: list[tuple[str, Any, Any]] = [(name, Words, "") for name in PROFILE_FIELDS]
Search = cast("type[SearchPage]", defstruct("Search", _FIELDS, bases=(SearchPage,), module=__name__, frozen=True))
Search.__doc__ = "`GET /v1/users?…`. A profile field: words in that field."
