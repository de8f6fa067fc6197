"""What requests may contain: types and bounds of every body and query. Rule: unknown fields are refused, and nothing unbounded passes."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from domain.errors import TooLarge
from domain.profile import HANDLE, MAX_FIELD_CHARS
from domain.user.decide import MAX_TEXT_CHARS

MAX_BODY_BYTES = 65_536  # 4,096 characters of text, each as two escaped surrogates, are 48 KiB; the rest of a request is small
MAX_WAIT_S = 60  # of a poll: common proxies cut what takes longer
BIGGEST = 2**63 - 1  # what every store and every client language can hold

Uid = Annotated[int, Meta(ge=1, le=BIGGEST)]
Seq = Annotated[int, Meta(ge=0, le=BIGGEST)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Password = Annotated[str, Meta(min_length=8, max_length=256)]
Page = Annotated[str, Meta(pattern="^[0-9a-f]{1,16}$")]  # the `next` of an earlier page
# What the domain's `clean_profile` refuses is said here for whoever reads the description.
PRINTABLE = {"pattern": "^[^\u0000-\u001f\u007f-\u009f]*$"}
ProfileText = Annotated[str, Meta(max_length=MAX_FIELD_CHARS)]
FilledIn = Annotated[str, Meta(max_length=MAX_FIELD_CHARS, extra_json_schema=PRINTABLE)]
# Compared after lower-casing, so capitals are allowed; the domain's `clean_handle` checks the pattern itself.
Handle = Annotated[
    str, Meta(min_length=2, max_length=32, extra_json_schema={"pattern": "^" + HANDLE.pattern.replace("a-z", "A-Za-z") + "$"})
]


class Request(Struct, forbid_unknown_fields=True, frozen=True):
    """A request body or query."""


ProfileField = Literal["full_name", "email", "phone", "organisation", "street", "city", "state", "country", "note"]
# A field that is null or blank is emptied, one that is missing stays: as a mapping, the two stay apart.
ProfileChanges = Annotated[
    dict[ProfileField, FilledIn | None], Meta(extra_json_schema={"propertyNames": {"enum": list(get_args(ProfileField))}})
]


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


class OfferDirect(Request, frozen=True):
    """`PUT /v1/direct`. `port`: where the client listens, and from which this very request comes; `key`: what both sides prove to know;
    `local`: the client's own address, only for contacts behind the same NAT. Ports below 1024 are the system's, and no client's."""

    session: Id
    port: Annotated[int, Meta(ge=1024, le=65_535)]
    key: Annotated[bytes, Meta(min_length=32, max_length=32)]
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


class Search(Request, frozen=True):
    """`GET /v1/users?…`. `q`: words in any field; a named field: words in that field; `cursor`: the last answer's `next`."""

    q: Annotated[str, Meta(max_length=500)] = ""
    full_name: ProfileText = ""
    email: ProfileText = ""
    phone: ProfileText = ""
    organisation: ProfileText = ""
    street: ProfileText = ""
    city: ProfileText = ""
    state: ProfileText = ""
    country: ProfileText = ""
    note: ProfileText = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Page | None = None
