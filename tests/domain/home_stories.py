"""The people and events of the Home Server's stories. Rule: made once, with every field that does not matter filled in."""

from domain.events.home import (
    ContactAdded,
    ContacterAdded,
    LoggedIn,
    LoggedOff,
    MessageQueued,
    MessageSent,
    ReceiptQueued,
    StatusChanged,
    UserAdopted,
)
from domain.mailbox.commands import QueueMessage, QueueReceipt
from domain.rules.home import rules_for
from domain.user.commands import LogIn, LogOff, PutContact, Send, SetStatus
from domain.user.state import Contact
from tests.domain.given import NOW, Story

given = Story.of(rules_for("h1"))
ANN, BOB = 1, 2
WHEN = {"at": NOW, "cause": "c1"}
WHO = {"uid": ANN, "cause": "c1"}

ADOPTED = UserAdopted(handle="ann", name="Ann Lee", **WHEN)
BOBS_CONTACT = Contact(BOB, "bob", "Bob", "h2", None, False)
BOB_WATCHES = ContacterAdded(uid=BOB, home="h2", status="offline", since=None, note="", name="Ann Lee", **WHEN)


def contact_added(uid=BOB):
    return ContactAdded(uid=uid, handle="bob", name="Bob", home="h2", alias=None, notify=False, **WHEN)


BOB_ADDED = contact_added()


def logged_in(session="s1", status="online", previous="offline", note="", at=NOW):
    return LoggedIn(
        at=at, cause=session, session=session, name="Ann Lee", client="tk", handle="ann", status=status, previous=previous, note=note
    )


def logged_off(session="s1", status="offline", previous="online", reason="logoff", note="", at=NOW, cause=None):
    return LoggedOff(
        at=at, cause=cause or session, session=session, reason=reason, handle="ann", status=status, previous=previous, note=note
    )


def chose(chosen, status=None, previous="online", note="", until=None, at=NOW, cause="c1"):
    return StatusChanged(
        at=at, cause=cause, handle="ann", chosen=chosen, status=status or chosen, previous=previous, note=note, until=until
    )


def log_in(session="s1", replaces=None):
    return LogIn(uid=ANN, cause=session, handle="ann", name="Ann Lee", session=session, client="tk", replaces=replaces)


def log_off(session="s1", reason="logoff"):
    return LogOff(uid=ANN, cause=session, session=session, reason=reason)


def set_status(status, note="", until=None):
    return SetStatus(status=status, note=note, until=until, **WHO)


def put_contact(contact=BOBS_CONTACT, **but):
    return PutContact(contact=contact._replace(**but), **WHO)


def send(id="m1", text="hi", to=BOB, in_reply_to=None):
    return Send(uid=ANN, cause=id, id=id, handle="ann", name="Ann Lee", to=to, text=text, in_reply_to=in_reply_to, urgent=False)


def message_sent(id="m1", text="hi", at=NOW, in_reply_to=None):
    return MessageSent(
        at=at,
        cause=id,
        id=id,
        uid=ANN,
        handle="ann",
        name="Ann Lee",
        to=BOB,
        to_home="h2",
        text=text,
        in_reply_to=in_reply_to,
        urgent=False,
    )


def queue(id="m1", text="hi", in_reply_to=None):
    """Bob's popup for Ann."""
    return QueueMessage(
        uid=ANN, cause=id, id=id, sender=BOB, sender_home="h2", handle="bob", name="Bob", text=text, sent_at=NOW,
        in_reply_to=in_reply_to, urgent=True,
    )  # fmt: skip


def queued(seq, id="m1", text="hi", at=NOW, in_reply_to=None):
    return MessageQueued(
        at=at, cause=id, seq=seq, id=id, uid=BOB, home="h2", handle="bob", name="Bob", text=text, sent_at=NOW, in_reply_to=in_reply_to,
        urgent=True,
    )  # fmt: skip


def queue_receipt(id="m9", state="delivered", why=None):
    return QueueReceipt(uid=ANN, cause=id, id=id, to=BOB, state=state, why=why, settled_at=NOW)


def receipt(seq, id="m9", state="delivered", why=None):
    return ReceiptQueued(at=NOW, cause=id, seq=seq, id=id, to=BOB, state=state, why=why, settled_at=NOW)
