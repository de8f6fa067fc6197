"""The Home Server's rules in one place: which state a stream has, who decides a command, who must hear of an event, and what they do then.

`ADDRESSES` name the homes an event is for, `react` says what a home does about an event: one that concerns its own users makes it
act, any other makes it do nothing. For a user of the same home both happen in the same transaction; for another home the broker
lies between. There is no second way.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from domain.event import Event
from domain.events import global_server as global_events
from domain.events.home import (
    ContactAdded,
    ContacterAdded,
    ContactRemoved,
    MessageBounced,
    MessageDone,
    MessageExpired,
    MessagesDelivered,
    MessageSent,
    MessageSettled,
    PresenceEvent,
    StatusChanged,
    UserClosed,
)
from domain.events.integrity import LogSealed
from domain.integrity import seal as seals
from domain.integrity.seal import SealCommand
from domain.mailbox import decide as mailbox
from domain.mailbox import evolve as mailbox_fold
from domain.mailbox.decide import MailboxCommand, MarkDone, QueueMessage, QueueReceipt
from domain.registry.registered_home import GLOBAL
from domain.rules import closing
from domain.rules.closing import CloseMailbox, CloseUser
from domain.user import decide as user
from domain.user import evolve as user_fold
from domain.user.commands import AddContacter, Adopt, RemoveContacter, UserCommand
from domain.user.state import UserState

Command = UserCommand | MailboxCommand | SealCommand

STATES: dict[str, type] = {"user": UserState, "mailbox": mailbox.MailboxState, **seals.STATES}
FOLDS: dict[str, Callable[[Any, Event], None]] = {"user": user_fold.evolve, "mailbox": mailbox_fold.evolve, **seals.FOLDS}
DECIDERS: dict[type, Callable[[Any, Any, float], list[Event]]] = {**user.DECIDERS, **mailbox.DECIDERS, **closing.DECIDERS, **seals.DECIDERS}


def is_told(event: Event) -> bool:
    """Whether contacters hear of it: a change of status or note."""
    return isinstance(event, PresenceEvent) and (event.status != event.previous or isinstance(event, StatusChanged))


def react(event: Event, source: str, home: str) -> list[Command]:
    """What `home` does about an event of `source` (its own, or one addressed to it). Reactions never refuse."""
    reaction = _REACTIONS.get(type(event))
    return reaction(event, source, home) if reaction else []


def reactions(home: str) -> Mapping[type, Callable[[Any], list[Command]]]:
    """What `home` does about events of its own, by their class; nothing about any other."""

    def own(reaction: Callable[[Any, str, str], list[Command]]) -> Callable[[Any], list[Command]]:
        return lambda event: reaction(event, home, home)

    return {kind: own(reaction) for kind, reaction in _REACTIONS.items()}


def _message_sent(event: MessageSent, source: str, home: str) -> list[Command]:
    commands: list[Command] = []
    if event.to_home == home and event.text:  # without a text its sender was erased before it came here
        commands.append(
            QueueMessage(
                uid=event.to,
                cause=event.id,
                id=event.id,
                sender=event.uid,
                sender_home=source,
                handle=event.handle,
                name=event.name,
                text=event.text,
                sent_at=event.at,
                in_reply_to=event.in_reply_to,
                urgent=event.urgent,
            )
        )
    if event.in_reply_to is not None and source == home:  # who answers a popup is done with it
        commands.append(MarkDone(uid=event.uid, cause=event.id, id=event.in_reply_to, sender=event.to, reply=True))
    return commands


def _delivered(event: MessagesDelivered, source: str, home: str) -> list[Command]:
    to = event.stream_uid
    return [
        QueueReceipt(uid=sender, cause=id_, id=id_, to=to, state="delivered", why=None, settled_at=event.at)
        for id_, sender, sender_home in event.messages
        if sender_home == home
    ]


def _settled(state: str) -> Callable[[Any, str, str], list[Command]]:
    def reaction(event: MessageSettled, source: str, home: str) -> list[Command]:
        if event.home != home:
            return []
        to = event.stream_uid
        why = event.why if isinstance(event, MessageBounced) else "expired" if isinstance(event, MessageExpired) else None
        return [QueueReceipt(uid=event.uid, cause=event.id, id=event.id, to=to, state=state, why=why, settled_at=event.at)]

    return reaction


def _contact_added(event: ContactAdded, source: str, home: str) -> list[Command]:
    if event.home != home:
        return []
    contacter = event.stream_uid
    return [AddContacter(uid=event.uid, cause=event.cause, contacter=contacter, home=source)]


def _contact_removed(event: ContactRemoved, source: str, home: str) -> list[Command]:
    if event.home != home:
        return []
    contacter = event.stream_uid
    return [RemoveContacter(uid=event.uid, cause=event.cause, contacter=contacter)]


def _registered(event: global_events.UserRegistered, source: str, home: str) -> list[Command]:
    if event.home != home:
        return []
    name = event.profile.get("full_name") or event.handle
    return [Adopt(uid=event.uid, cause=event.cause, handle=event.handle, name=name)]


def _profile_changed(event: global_events.ProfileChanged, source: str, home: str) -> list[Command]:
    if event.home != home:
        return []
    return [Adopt(uid=event.uid, cause=event.cause, handle=event.handle, name=event.name)]


def _account_closed(event: global_events.AccountClosed, source: str, home: str) -> list[Command]:
    return [CloseUser(uid=event.uid, cause=event.cause, resident=event.home == home)]


def _user_closed(event: UserClosed, source: str, home: str) -> list[Command]:
    if source != home or not event.resident:
        return []
    return [CloseMailbox(uid=event.stream_uid, cause=event.cause)]


def _home(event: Any) -> Collection[str]:
    return (event.home,)


# The homes that must hear of an event whatever the time: its recipients' or senders'. Presence goes to whoever watches (`is_told`).
RECIPIENTS: dict[type, Callable[[Any], Collection[str]]] = {
    MessageSent: lambda event: (event.to_home,),
    MessagesDelivered: lambda event: {home for _, _, home in event.messages},
    MessageDone: _home,
    MessageBounced: _home,
    MessageExpired: _home,
    ContactAdded: _home,
    ContactRemoved: _home,
    ContacterAdded: _home,
    LogSealed: lambda event: (GLOBAL,),  # the Global Server's inbox: it keeps what a home could change at home
}

_REACTIONS: dict[type, Callable[[Any, str, str], list[Command]]] = {
    MessageSent: _message_sent,
    MessagesDelivered: _delivered,
    MessageDone: _settled("done"),
    MessageBounced: _settled("bounced"),
    MessageExpired: _settled("bounced"),
    ContactAdded: _contact_added,
    ContactRemoved: _contact_removed,
    global_events.UserRegistered: _registered,
    global_events.ProfileChanged: _profile_changed,
    global_events.AccountClosed: _account_closed,
    UserClosed: _user_closed,
}
