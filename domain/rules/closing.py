"""A user leaves for good: what happens at home, in their mailbox, and in the mailboxes of others. Rule: these commands never refuse.

AccountClosed (Global) -> every home: CloseUser -> UserClosed, with which their key is destroyed
    where they lived:  sessions end, contacts' homes are told, CloseMailbox -> what waited for them bounces
    everywhere:        DropErased -> what they wrote and nobody has seen yet is taken out
"""

from domain.aggregate import Deciders
from domain.event import Event
from domain.events.home import ContactRemoved, LoggedOff, MailboxClosed, MessageBounced, MessageErased, UserClosed
from domain.mailbox.commands import MailboxCommand
from domain.mailbox.state import MailboxState, WaitingMessage
from domain.user.commands import UserCommand
from domain.user.state import UserState


class CloseUser(UserCommand, frozen=True, kw_only=True):
    """The user's account was closed. `resident`: this was the user's home."""

    resident: bool


class CloseMailbox(MailboxCommand, frozen=True, kw_only=True):
    """Nobody will read this mailbox any more."""


class DropErased(MailboxCommand, frozen=True, kw_only=True):
    """Take out the waiting messages of a sender who was erased."""

    sender: int


def close_user(user: UserState, command: CloseUser, now: float) -> list[Event]:
    """End the sessions, take everybody off the contact list, and close. A repeat changes nothing."""
    if user.closed:
        return []
    at, cause = now, command.cause
    events: list[Event] = []
    status = user.status
    left = len(user.sessions)
    for session in user.sessions:
        left -= 1
        after = status if left else "offline"
        events.append(
            LoggedOff(at=at, cause=cause, session=session, reason="closed", handle=user.handle, status=after, previous=status, note="")
        )
    events += [ContactRemoved(at=at, cause=cause, uid=contact.uid, home=contact.home) for contact in user.contacts.values()]
    return [*events, UserClosed(at=at, cause=cause, resident=command.resident)]


def close_mailbox(mailbox: MailboxState, command: CloseMailbox, now: float) -> list[Event]:
    """Bounce every waiting message, and take no more. A repeat changes nothing."""
    if mailbox.closed:
        return []
    bounced: list[Event] = [
        MessageBounced(at=now, cause=waiting.id, id=waiting.id, uid=waiting.uid, home=waiting.home, why="closed")
        for waiting in mailbox.waiting.values()
        if isinstance(waiting, WaitingMessage)
    ]
    return [*bounced, MailboxClosed(at=now, cause=command.cause)]


def drop_erased(mailbox: MailboxState, command: DropErased, now: float) -> list[Event]:
    """Take out the messages of an erased sender, which nobody has seen."""
    return [
        MessageErased(at=now, cause=command.cause, seq=waiting.seq, id=waiting.id, uid=waiting.uid, home=waiting.home)
        for waiting in mailbox.waiting.values()
        if isinstance(waiting, WaitingMessage) and waiting.uid == command.sender
    ]


DECIDERS: Deciders = {
    CloseUser: close_user,
    CloseMailbox: close_mailbox,
    DropErased: drop_erased,
}
