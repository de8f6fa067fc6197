"""What requests may contain: types and bounds of every body and query. Rule: unknown fields are refused, and nothing unbounded passes."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from msgspec import Meta, Struct, defstruct

from domain.errors import TooLarge
from domain.profile import CONTROL, HANDLE, MAX_FIELD_CHARS, PROFILE_FIELDS, ProfileField
from domain.user.decide import MAX_TEXT_CHARS
from projections.directory.directory import DEFAULT_LIMIT, MAX_LIMIT, MAX_WORDS_CHARS

MAX_BODY_BYTES = 65_536  # 4,096 characters of text, each as two escaped surrogates, are 48 KiB; the rest of a request is small
MAX_WAIT_S = 60  # of a poll: common proxies cut what takes longer
BIGGEST = 2**63 - 1  # what every store and every client language can hold

Uid = Annotated[int, Meta(ge=1, le=BIGGEST)]
Seq = Annotated[int, Meta(ge=0, le=BIGGEST)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Password = Annotated[str, Meta(min_length=8, max_length=256)]
Page = Annotated[str, Meta(pattern="^[0-9a-f]{1,16}$")]  # the `next` of an earlier page
# The domain's `clean_profile` refuses control characters, after it has trimmed the text; the description says the same.
_BLANK = r"[\s\u001c-\u001f\u0085]*"  # what `str.strip` takes away
PRINTABLE = {"pattern": f"^{_BLANK}[^{CONTROL}]*{_BLANK}$"}
Words = Annotated[str, Meta(max_length=MAX_WORDS_CHARS)]
FilledIn = Annotated[str, Meta(max_length=MAX_FIELD_CHARS, extra_json_schema=PRINTABLE)]
# Compared after lower-casing, so capitals are allowed; the domain's `clean_handle` checks the pattern itself.
Handle = Annotated[
    str, Meta(min_length=2, max_length=32, extra_json_schema={"pattern": "^" + HANDLE.pattern.replace("a-z", "A-Za-z") + "$"})
]


class Request(Struct, forbid_unknown_fields=True, frozen=True):
    """A request body or query."""


# A field that is null or blank is emptied, one that is missing stays: as a mapping, the two stay apart.
ProfileChanges = Annotated[dict[ProfileField, FilledIn | None], Meta(extra_json_schema={"propertyNames": {"enum": list(PROFILE_FIELDS)}})]


class Register(Request, frozen=True):
    """`POST /v1/users`."""

    handle: Handle
    password: Password
    profile: ProfileChanges = {}


class Credentials(Request, frozen=True):
    """`POST /v1/tokens`. Bounds are wide: what cannot be a user's is simply wrong."""

    handle: Annotated[str, Meta(max_length=256)]
    password: Annotated[str, Meta(max_length=1_024)]


class ChangeProfile(Request, frozen=True):
    """`PATCH /v1/users/me`."""

    profile: ProfileChanges


class EraseMe(Request, frozen=True):
    """`POST /v1/users/me/erase`. The password once more: a token that was left lying about must not be enough."""

    password: Annotated[str, Meta(max_length=1_024)]


class Erase(Request, frozen=True):
    """`POST /v1/users/{uid}/erase`: nothing to say."""


class Resume(Request, frozen=True):
    """Where an earlier back connection ended: which one this one follows, and up to where its messages arrived."""

    session: Id | None = None
    seq: Seq | None = None


class OpenBackConnection(Request, frozen=True):
    """`POST /v1/back-connection`. `client`: name and version; `pong`: whether it answers blanks."""

    client: Annotated[str, Meta(max_length=64)] = ""
    pong: bool = False
    resume: Resume | None = None


class LogOff(Request, frozen=True):
    """`POST /v1/logoff`."""

    session: Id


class PutContact(Request, frozen=True):
    """`PUT /v1/contacts/{uid}`. `alias`: what I call them; `notify`: whether to tell me aloud when they come."""

    alias: Annotated[str, Meta(max_length=64)] | None = None
    notify: bool = False


class SendMessage(Request, frozen=True):
    """`POST /v1/messages`. `id` is the client's choice: the same again sends nothing twice. `ticket`: to be given a stamp."""

    id: Id
    to: Uid
    text: Annotated[str, Meta(min_length=1, extra_json_schema={"maxLength": MAX_TEXT_CHARS})]
    in_reply_to: Id | None = None
    urgent: bool = False
    ticket: Id | None = None

    def __post_init__(self) -> None:
        # A text that is too long is told apart from one that is wrong: 413, so that a client can offer to shorten it.
        if len(self.text) > MAX_TEXT_CHARS:
            raise TooLarge(f"A text has at most {MAX_TEXT_CHARS} characters.", field="text")


class Acknowledge(Request, frozen=True):
    """`POST /v1/acks`: everything up to `upto` has arrived; 0 is only a sign of life."""

    session: Id
    upto: Seq


class Poll(Request, frozen=True):
    """`POST /v1/parts`. `session`: null opens one; `upto`: everything up to here has arrived; `wait_s`: how long to wait for a part.

    `client`, `replaces`: only when opening: name and version, and the session of which an answer got lost.
    """

    session: Id | None = None
    upto: Seq = 0
    wait_s: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)] = 25.0  # below the 30 s after which impatient proxies give up
    client: Annotated[str, Meta(max_length=64)] = ""
    replaces: Id | None = None


class Done(Request, frozen=True):
    """`POST /v1/messages/{id}/done`: nothing to say."""


# 32 bytes in base64 are 43 signs and one "="; lengths alone would allow 31 to 33 bytes.
Key = Annotated[bytes, Meta(min_length=32, max_length=32, extra_json_schema={"pattern": "^[A-Za-z0-9+/]{43}=$"})]


class OfferDirect(Request, frozen=True):
    """`PUT /v1/direct`. `port`: where the client listens, and from which this very request comes; `key`: what both sides prove to know;
    `local`: the client's own address, only for contacts behind the same NAT. Ports below 1024 are the system's, and no client's."""

    session: Id
    port: Annotated[int, Meta(ge=1024, le=65_535)]
    key: Key
    local: Annotated[str, Meta(max_length=45)] | None = None


class AskForTicket(Request, frozen=True):
    """`POST /v1/tickets`. `to`: whom the sender wants to reach directly."""

    to: Uid


class SetStatus(Request, frozen=True):
    """`PUT /v1/status`. `until`: when to fall back to online."""

    status: Literal["online", "away", "dnd"]
    note: Annotated[str, Meta(max_length=256)] = ""
    until: Annotated[datetime, Meta(tz=True)] | None = None


Uids = Annotated[str, Meta(max_length=7_000, pattern=r"^[1-9][0-9]{0,18}(,[1-9][0-9]{0,18})*$")]  # what fits a request line


class Presence(Request, frozen=True):
    """`GET /v1/presence?…`. `uids`: whose, with commas between; without: everybody granted, `limit` at a time; `page`: the last `next`."""

    uids: Uids | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 1_000
    page: Page | None = None


class PresenceStream(Request, frozen=True):
    """`GET /v1/presence/stream?…`. `after`: a cursor, else what comes from now on; the header `Last-Event-ID` goes before it."""

    after: Annotated[str, Meta(max_length=64)] | None = None
    uids: Uids | None = None


class SearchPage(Request, frozen=True):
    """Which part of what a search finds. `q`: words in any field; `cursor`: the last answer's `next`."""

    q: Words = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: Page | None = None


_FIELDS: list[tuple[str, Any, Any]] = [(name, Words, "") for name in PROFILE_FIELDS]
Search = cast("type[SearchPage]", defstruct("Search", _FIELDS, bases=(SearchPage,), module=__name__, frozen=True))
Search.__doc__ = "`GET /v1/users?…`. A field that is named: words in that field."
