"""The events that `listen` gives: one frozen class per part, and two for the connection itself. Rule: values only.

Connected → Welcome → (Message | Presence | Receipt | Done | Contacts | MyStatus | Blank)… → Goodbye? → Disconnected → Connected → …

A part that this version does not know gives no event.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self

from flash_sdk import json_fields as fields
from flash_sdk.errors import ProtocolError
from flash_sdk.json_fields import Json
from flash_sdk.parts import Part
from flash_sdk.people import Contact, MyStatus, Sender, Status

Transport = Literal["multipart", "sse", "poll"]  # how parts travel


@dataclass(frozen=True, slots=True)
class Connected:
    """A back connection stands; its `Welcome` follows. `transport`: how parts come; `sse` or `poll` where the network holds better
    transports back."""

    transport: Transport = "multipart"


@dataclass(frozen=True, slots=True)
class Direct:
    """Whether parts come over the direct line, on which the home has called us; only with `listen(direct=True)`. If not, they come over
    the back connection, and nothing is lost. `why`: `not_proven`, `not_allowed`, `no_answer`, `wrong_answer` (the home says so), `tls`,
    `proxy`, `failed` (no offer could be made), `lost`, `given_up` (the line broke, or the home left it)."""

    active: bool
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection broke or could not be made. The next try is in `retry_in_s` seconds; None means that the iteration ends.

    `reason`: `unreachable` (no connection, or 429 and 5xx), `lost` (it broke), `silent` (no byte for 2.5 blanks), `held` (no first
    part in time: something holds the stream back, and another transport is next), `better` (left for a better transport), `session` (the
    home has forgotten the session), `protocol` (what came was not Flash's protocol), `goodbye` (the home said goodbye).
    """

    reason: str
    retry_in_s: float | None


@dataclass(frozen=True, slots=True)
class Welcome:
    """The first part. `verdict`: `fresh`, `replayed` or `gap` (some were acknowledged elsewhere or lost). `count`: how many pending
    messages follow. `status`: the status that I set last; None from a home that does not tell."""

    session: str
    uid: int
    blank_s: float
    verdict: str
    count: int
    contacts: tuple[Contact, ...]
    status: MyStatus | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A popup. `seq`: its number in my mailbox, 0 if it came directly. The text is left out of `repr`, so that no log shows it."""

    seq: int
    id: str
    sender: Sender
    text: str = field(repr=False)
    sent_at: datetime
    in_reply_to: str | None
    urgent: bool

    @classmethod
    def of(cls, body: Json, seq: int) -> Self:
        """Read the body of a `message` part or of a popup that came directly. Raises `ProtocolError`."""
        return cls(
            seq=seq,
            id=fields.text(body, "id"),
            sender=Sender.of(fields.section(body, "from")),
            text=fields.text(body, "text"),
            sent_at=fields.moment(body, "sent_at"),
            in_reply_to=fields.optional_text(body, "in_reply_to"),
            urgent=fields.flag(body, "urgent"),
        )


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """One contact's new presence. `reason`: `login logoff lost timeout status home_down home_up snapshot`."""

    uid: int
    presence: Status
    reason: str
    notify: bool


@dataclass(frozen=True, slots=True)
class Presence:
    """Contacts came, went or changed their status."""

    changes: tuple[PresenceChange, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message I sent. `state`: `delivered`, `done` or `bounced` (`why` says why). `to`: the recipient's uid. A later
    receipt of the same message corrects a bounce: the recipient's home had it, and its word came late."""

    id: str
    to: int
    state: str
    at: datetime
    why: str | None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """I closed this message on another session, so its popup here must close too."""

    id: str


@dataclass(frozen=True, slots=True)
class Contacts:
    """My contact list was changed from another session."""

    added: tuple[Contact, ...]
    removed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Blank:
    """A sign of life of the home, which is answered already. Given only when asked for."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The last part. `reason`: `logoff`, `shutdown` or `closed`. `reconnect_after_s`: when to come back; None for never or no advice."""

    reason: str
    reconnect_after_s: float | None


Event = Connected | Direct | Disconnected | Welcome | Message | Presence | Receipt | Done | Contacts | MyStatus | Blank | Goodbye


def _welcome(body: Json) -> Welcome:
    resume = fields.section(body, "resume")
    return Welcome(
        session=fields.text(body, "session"),
        uid=fields.integer(body, "uid"),
        blank_s=fields.seconds(body, "blank_s") or DEFAULT_BLANK_S,
        verdict=fields.text(resume, "verdict"),
        count=fields.optional_integer(resume, "count") or 0,
        contacts=tuple(map(Contact.of, fields.sections(body, "contacts"))),
        status=None if body.get("status") is None else MyStatus.of(fields.section(body, "status")),
    )


DEFAULT_BLANK_S = 30.0  # the protocol's default, for a welcome that names none


def _presence(body: Json) -> Presence:
    return Presence(tuple(map(_change, fields.sections(body, "changes"))))


def _change(body: Json) -> PresenceChange:
    return PresenceChange(fields.integer(body, "uid"), Status.of(body), fields.text(body, "reason", ""), fields.flag(body, "notify"))


def _receipt(body: Json) -> Receipt:
    return Receipt(
        id=fields.text(body, "id"),
        to=fields.integer(body, "to"),
        state=fields.text(body, "state"),
        at=fields.moment(body, "at"),
        why=fields.optional_text(body, "why"),
        seq=fields.optional_integer(body, "seq"),
    )


def _contacts(body: Json) -> Contacts:
    removed = body.get("removed") or []
    if not isinstance(removed, list):
        raise ProtocolError("removed is not a list")
    added = tuple(map(Contact.of, fields.sections(body, "added")))
    return Contacts(added, tuple(fields.integer({"removed": uid}, "removed") for uid in removed))


_READERS: dict[str, Callable[[Json], Event]] = {
    "welcome": _welcome,
    "message": lambda body: Message.of(body, fields.integer(body, "seq")),
    "presence": _presence,
    "receipt": _receipt,
    "done": lambda body: Done(fields.text(body, "id")),
    "contacts": _contacts,
    "status": MyStatus.of,
    "direct": lambda body: Direct(fields.flag(body, "active"), fields.optional_text(body, "why")),
    "blank": lambda body: Blank(),
    "goodbye": lambda body: Goodbye(fields.text(body, "reason"), fields.seconds(body, "reconnect_after_s")),
}


def read(part: Part) -> Event | None:
    """The event of a part; None for an unknown part. Raises `ProtocolError` for a known part of the wrong shape."""
    reader = _READERS.get(part.name)
    return reader(part.body) if reader else None


def readable(part: Part) -> Event | None:
    """The event of a part. One of another shape counts as one that this version does not know: it is passed over, and its number is
    acknowledged, because a home would send it again after every new connection."""
    try:
        return read(part)
    except ProtocolError:
        return None
