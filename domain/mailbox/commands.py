"""What can be asked of a mailbox. Rule: plain values, which nobody changes; `decide.py` says what comes of them."""

from domain.event import AggregateCommand


class MailboxCommand(AggregateCommand, frozen=True, kw_only=True):
    """A wish concerning one mailbox."""

    AGGREGATE = "mailbox"


class QueueMessage(MailboxCommand, frozen=True, kw_only=True):
    """A popup arrived for the user."""

    id: str
    sender: int
    sender_home: str
    handle: str
    name: str
    text: str
    sent_at: float
    in_reply_to: str | None
    urgent: bool
    too_late: bool = False  # its time to live was over when it came


class QueueReceipt(MailboxCommand, frozen=True, kw_only=True):
    """News arrived of a message that the user sent."""

    id: str
    to: int
    state: str
    why: str | None
    settled_at: float


class Acknowledge(MailboxCommand, frozen=True, kw_only=True):
    """The client of a session has everything up to `upto`."""

    session: str
    upto: int


class Resume(MailboxCommand, frozen=True, kw_only=True):
    """A session begins. Its client has everything up to `seen` (0: the client does not say)."""

    session: str
    seen: int


class MarkDone(MailboxCommand, frozen=True, kw_only=True):
    """The user is done with a message. `reply`: the user has answered it; then an unknown message is no error."""

    id: str
    sender: int | None = None  # None: any sender of a message with this id
    reply: bool = False


class Expire(MailboxCommand, frozen=True, kw_only=True):
    """Take out the messages that arrived before `before`."""

    before: float
