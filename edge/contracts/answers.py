"""What the edge adds to the answers of the servers. Rule: a shape that a server returns is made in its `views`, and not here."""

from typing import Annotated

from msgspec import Meta, Raw, Struct

from servers.sessions.views import Contact

Why = Annotated[str, Meta(extra_json_schema={"enum": ["not_proven", "not_allowed", "no_answer", "wrong_answer"]})]


class Contacts(Struct):
    """A contact list."""

    contacts: list[Contact]


class Direct(Struct):
    """Whether the client can be called directly, or why not."""

    reachable: bool
    why: Why | None


class PolledPart(Struct):
    """One part, as on the back connection."""

    part: str
    body: Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class Parts(Struct):
    """The answer to a poll: every part that waited, or the first that came; no parts when the time was over."""

    session: str
    parts: list[PolledPart]


class Health(Struct, omit_defaults=True):
    """`status` is `alive` or `ready`; `warnings` say what is wrong elsewhere although the server is ready, one sentence each."""

    status: str
    warnings: list[str] = []


class Problem(Struct):
    """A refusal, RFC 9457; `code` is stable. Some have further fields, such as `field` and `expected`, or `home`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
