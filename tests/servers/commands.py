"""Commands that tests of the servers give to a writer. Rule: Ann is user 1, Bob is user 2 and lives at h2."""

from domain.mailbox.commands import QueueMessage
from domain.user.commands import LogIn, PutContact, Send
from domain.user.state import Contact


def log_in(uid=1, session="s1"):
    return LogIn(uid=uid, cause=session, handle="ann", name="Ann", session=session, client="tk", replaces=None)


def contact(uid=1, other=2, home="h2"):
    return PutContact(uid=uid, cause="c", contact=Contact(other, "bob", "Bob", home, None, False))


def send(id="m1", uid=1, to=2):
    return Send(uid=uid, cause=id, id=id, handle="ann", name="Ann", to=to, text="hi", in_reply_to=None, urgent=False)


def queue(id="m1", uid=1, sender=2):
    return QueueMessage(uid=uid, cause=id, id=id, sender=sender, sender_home="h2", handle="bob", name="Bob", text="hi", sent_at=0.0,
                        in_reply_to=None, urgent=False)  # fmt: skip
