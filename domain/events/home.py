"""Every event of a Home Server. Rule: fields are plain values, stored for ever; a new field means a new `class_version` and an upcaster.

Two streams per user: `user-<uid>` (sessions, status, contacts, what was sent) and `mailbox-<uid>` (what waits for the user).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.event import Event
from domain.personal import OWN
from domain.values import Handle, HomeName, Id, Moment, Name, Note, Number, SessionId, Status, Text, Uid, Word


class UserAdopted(Event, frozen=True, kw_only=True):
    """The home met this user: it saw a first token, or the Global Server assigned or renamed the user. Stored in `user-<uid>`."""

    TOPIC = "user.adopted"
    PERSONAL: ClassVar[Mapping[str, str]] = {"name": OWN}
    handle: Handle
    name: Name


class PresenceEvent(Event, frozen=True, kw_only=True):
    """Any event that may change a user's presence: `status` holds from now on, `previous` held until now. They are equal when contacters
    see no change."""

    PERSONAL: ClassVar[Mapping[str, str]] = {"note": OWN}
    handle: Handle
    status: Status  # "online" | "away" | "dnd" | "offline"
    previous: Status
    note: Note


class LoggedIn(PresenceEvent, frozen=True, kw_only=True):
    """A session began. Tells contacters when it is the user's first session."""

    TOPIC = "user.logged_in"
    PERSONAL: ClassVar[Mapping[str, str]] = {"note": OWN, "name": OWN}
    session: SessionId
    name: Name  # the user's present name, which contacters show
    client: Word  # the name that the client gave itself, e.g. "tk/1.0"


class LoggedOff(PresenceEvent, frozen=True, kw_only=True):
    """A session ended. Tells contacters when it was the user's last session."""

    TOPIC = "user.logged_off"
    session: SessionId
    reason: (
        Word  # "logoff" | "lost" (TCP ended) | "timeout" (blanks stayed unanswered) | "restart" (the home restarted without it) | "closed"
    )


class StatusChanged(PresenceEvent, frozen=True, kw_only=True):
    """The user chose a status, or a chosen status lapsed. It is kept while the user is offline, and shown while online."""

    TOPIC = "user.status_changed"
    chosen: Status  # "online" | "away" | "dnd"
    until: Moment | None  # when `chosen` falls back to "online", seconds since 1970


class RouteProbed(Event, frozen=True, kw_only=True):
    """A client offered to be called directly, and the home has tried to. The address is personal and not stored. In `user-<uid>`."""

    TOPIC = "user.route_probed"
    session: SessionId
    behind_firewall: bool  # nobody can call this client, so only its back connection reaches it
    why: Word | None  # "not_proven" (a device in between rewrites ports) | "not_allowed" | "no_answer" | "wrong_answer"; None: reachable


class UserClosed(Event, frozen=True, kw_only=True):
    """The user left for good. Every home stores it, as the last event of `user-<uid>`, and destroys its key for the user's data."""

    TOPIC = "user.closed"
    ERASES = True
    resident: bool  # this was the user's home; the mailbox is closed too (MailboxClosed)


class ContactAdded(Event, frozen=True, kw_only=True):
    """The user watches `uid` from now on and may send to them. The contact's home is told (ContacterAdded)."""

    TOPIC = "user.contact_added"
    PERSONAL: ClassVar[Mapping[str, str]] = {"name": "uid", "alias": OWN}
    uid: Uid
    handle: Handle
    name: Name
    home: HomeName
    alias: Note | None
    notify: bool  # the user wants a popup when this contact comes online


class ContactChanged(Event, frozen=True, kw_only=True):
    """The user gave a contact another alias or another `notify`."""

    TOPIC = "user.contact_changed"
    PERSONAL: ClassVar[Mapping[str, str]] = {"alias": OWN}
    uid: Uid
    alias: Note | None
    notify: bool


class ContactRemoved(Event, frozen=True, kw_only=True):
    """The user no longer watches `uid`. The contact's home is told (ContacterRemoved)."""

    TOPIC = "user.contact_removed"
    uid: Uid
    home: HomeName


class ContacterAdded(Event, frozen=True, kw_only=True):
    """Somebody watches this user. It carries the presence at that moment, which the contacter's home then shows."""

    TOPIC = "user.contacter_added"
    PERSONAL: ClassVar[Mapping[str, str]] = {"note": OWN, "name": OWN}
    uid: Uid  # the contacter
    home: HomeName  # the contacter's home
    status: Status
    since: Moment | None
    note: Note
    name: Name


class ContacterRemoved(Event, frozen=True, kw_only=True):
    """Somebody stopped watching this user."""

    TOPIC = "user.contacter_removed"
    uid: Uid
    home: HomeName


class MessageSent(Event, frozen=True, kw_only=True):
    """A popup was accepted from this user. The recipient's home queues it (MessageQueued).

    Version 1 had no field `urgent`; those messages were not urgent.
    """

    TOPIC = "user.message_sent"
    class_version: ClassVar[int] = 2
    PERSONAL: ClassVar[Mapping[str, str]] = {"name": "uid", "text": "uid"}
    id: Id  # chosen by the client; unique per sender
    uid: Uid  # the sender
    handle: Handle
    name: Name
    to: Uid
    to_home: HomeName
    text: Text
    in_reply_to: Id | None
    urgent: bool

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Version 2 added `urgent`."""
        state["urgent"] = False


class MessageQueued(Event, frozen=True, kw_only=True):
    """A popup waits in this mailbox under `seq` until a client acknowledges it.

    Its text stays the sender's property: when the sender is erased, it is erased here too.
    """

    TOPIC = "mailbox.message_queued"
    PERSONAL: ClassVar[Mapping[str, str]] = {"name": "uid", "text": "uid"}
    seq: Number
    id: Id
    uid: Uid  # the sender
    home: HomeName  # the sender's home
    handle: Handle
    name: Name
    text: Text
    sent_at: Moment
    in_reply_to: Id | None
    urgent: bool


class ReceiptQueued(Event, frozen=True, kw_only=True):
    """News of a message that this user sent waits in the mailbox under `seq`, like a message, so that the sender is certainly told."""

    TOPIC = "mailbox.receipt_queued"
    seq: Number
    id: Id
    to: Uid  # the recipient of the message
    state: Word  # "delivered" | "done" | "bounced"
    why: Word | None  # with "bounced": "mailbox_full" | "expired" | "closed"
    settled_at: Moment


class MessagesDelivered(Event, frozen=True, kw_only=True):
    """A client acknowledged everything up to `upto`. `messages` lists the popups among it, whose senders are told."""

    TOPIC = "mailbox.messages_delivered"
    upto: Number
    session: SessionId
    messages: list[tuple[Id, Uid, HomeName]]  # (id, sender's uid, sender's home)


class MessageSettled(Event, frozen=True, kw_only=True):
    """Any event that ends one popup in another way; its sender is told."""

    id: Id
    uid: Uid  # the sender
    home: HomeName  # the sender's home


class MessageDone(MessageSettled, frozen=True, kw_only=True):
    """The recipient pressed Done, or replied. The recipient's other sessions close the popup."""

    TOPIC = "mailbox.message_done"


class MessageBounced(MessageSettled, frozen=True, kw_only=True):
    """A popup could not be queued, or nobody will ever read it, because the mailbox is full or closed, or it came too late."""

    TOPIC = "mailbox.message_bounced"
    why: Word  # "mailbox_full" | "closed" | "expired": its time to live was over when it came


class MessageExpired(MessageSettled, frozen=True, kw_only=True):
    """A popup waited too long and was taken out of the mailbox."""

    TOPIC = "mailbox.message_expired"
    seq: Number


class MessageErased(MessageSettled, frozen=True, kw_only=True):
    """A popup that nobody had seen was taken out of the mailbox, because its sender was erased. So nobody is told."""

    TOPIC = "mailbox.message_erased"
    seq: Number


class MailboxClosed(Event, frozen=True, kw_only=True):
    """The user left for good. Everything that waited has bounced, and later mail will bounce. The last event of `mailbox-<uid>`."""

    TOPIC = "mailbox.closed"
