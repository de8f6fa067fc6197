"""The Home Server's rules in tables: who decides a command, who must hear of an event, and what a home then does.

`RECIPIENTS` name the homes that an event is for. `POLICIES` say what a home does about an event: an event that concerns one of its own
users makes it act, any other event does nothing. For a user of the same home both happen in the same transaction; for a user of another
home the broker carries the event there. There is no second way.
"""

from collections.abc import Callable, Collection, Container, Sequence
from functools import cache
from typing import Any

from msgspec.structs import replace

from domain.event import Event
from domain.events import global_server as global_events
from domain.events import home as events
from domain.events.integrity import LogSealed
from domain.events.throttles import ThrottleBegan, ThrottleEnded
from domain.integrity import decide as seal_deciders
from domain.integrity import evolve as seal_folds
from domain.integrity.state import LifeState, SealedState
from domain.mailbox import decide as mailbox_deciders
from domain.mailbox import evolve as mailbox_folds
from domain.mailbox.commands import MarkDone, QueueMessage, QueueReceipt
from domain.mailbox.state import MailboxState
from domain.profile import display_name
from domain.registry.registered_home import GLOBAL
from domain.rules import closing
from domain.rules.closing import CloseMailbox, CloseUser
from domain.rules.rules import Command, Policy, Rules
from domain.throttles import decide as throttle_deciders
from domain.throttles import evolve as throttle_folds
from domain.throttles.commands import EndThrottle, Throttle
from domain.throttles.state import ThrottlesState
from domain.user import decide as user_deciders
from domain.user import evolve as user_folds
from domain.user.commands import AddContacter, Adopt, HaveSent, RemoveContacter
from domain.user.state import UserState


@cache
def rules_for(home: str) -> Rules:
    """The rules of this home."""
    return Rules(
        server=home,
        states={
            "user": UserState,
            "mailbox": MailboxState,
            **dict.fromkeys(("log", "witness", "restored", "clock"), SealedState),
            "life": LifeState,
            "throttles": ThrottlesState,
        },
        deciders=user_deciders.DECIDERS
        | mailbox_deciders.DECIDERS
        | closing.DECIDERS
        | seal_deciders.DECIDERS
        | throttle_deciders.DECIDERS,
        folds=user_folds.FOLDS | mailbox_folds.FOLDS | seal_folds.FOLDS | throttle_folds.FOLDS,
        policies=POLICIES,
        places=mailbox_folds.PLACES,
    )


def is_told(event: Event) -> bool:
    """Whether contacters hear of it: a change of status or note."""
    return isinstance(event, events.PresenceEvent) and (event.status != event.previous or isinstance(event, events.StatusChanged))


def react_to_mail(
    rules: Rules,
    closed: Container[int],
    clock: Callable[[], float],
    ttl_s: float,
    may_expire: Callable[[], bool],
    event: Event,
    source: str,
) -> Sequence[Command]:
    """What a home does about another server's event. A message is ignored when its sender, one of `closed`, left before it arrived, and
    bounces when it was sent more than `ttl_s` ago by the `clock`, which `may_expire` says can be believed."""
    policy = rules.policies.get(type(event))
    if policy is None:
        return ()
    commands = policy(event, source, rules.server)
    if isinstance(event, events.MessageSent):
        if event.uid in closed:
            return ()
        if event.at < clock() - ttl_s and may_expire():
            return [replace(each, too_late=True) if isinstance(each, QueueMessage) else each for each in commands]
    return commands


def _message_sent(event: events.MessageSent, source: str, home: str) -> Sequence[Command]:
    commands: list[Command] = []
    if event.to_home == home and event.text:  # a message without a text: its sender was erased before it arrived
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
    if event.in_reply_to is not None and source == home:  # a recipient who answers a popup is done with it
        commands.append(MarkDone(uid=event.uid, cause=event.id, id=event.in_reply_to, sender=event.to, reply=True))
    return commands


def _delivered(event: events.MessagesDelivered, source: str, home: str) -> Sequence[Command]:
    to = event.stream_uid
    ours = [(id_, sender) for id_, sender, sender_home in event.messages if sender_home == home]
    receipts = [
        QueueReceipt(uid=sender, cause=id_, id=id_, to=to, state="delivered", why=None, settled_at=event.at) for id_, sender in ours
    ]
    return receipts if source == home else [*_have_sent(ours, to), *receipts]


def _have_sent(messages: Sequence[tuple[str, int]], to: int) -> list[Command]:
    """Another home's news must fit messages that were sent to its user: what refuses comes before what is done."""
    return [HaveSent(uid=sender, cause=id_, id=id_, to=to) for id_, sender in messages]


def _settled(state: str) -> Policy:
    def policy(event: events.MessageSettled, source: str, home: str) -> Sequence[Command]:
        if event.home != home:
            return []
        why = event.why if isinstance(event, events.MessageBounced) else "expired" if isinstance(event, events.MessageExpired) else None
        to = event.stream_uid
        receipt = QueueReceipt(uid=event.uid, cause=event.id, id=event.id, to=to, state=state, why=why, settled_at=event.at)
        return [receipt] if source == home else [*_have_sent([(event.id, event.uid)], to), receipt]

    return policy


def _contact_added(event: events.ContactAdded, source: str, home: str) -> Sequence[Command]:
    if event.home != home:
        return []
    return [AddContacter(uid=event.uid, cause=event.cause, contacter=event.stream_uid, home=source)]


def _contact_removed(event: events.ContactRemoved, source: str, home: str) -> Sequence[Command]:
    if event.home != home:
        return []
    return [RemoveContacter(uid=event.uid, cause=event.cause, contacter=event.stream_uid)]


def _registered(event: global_events.UserRegistered, source: str, home: str) -> Sequence[Command]:
    if event.home != home:
        return []
    return [Adopt(uid=event.uid, cause=event.cause, handle=event.handle, name=display_name(event.handle, event.profile))]


def _profile_changed(event: global_events.ProfileChanged, source: str, home: str) -> Sequence[Command]:
    if event.home != home:
        return []
    return [Adopt(uid=event.uid, cause=event.cause, handle=event.handle, name=event.name)]


def _account_closed(event: global_events.AccountClosed, source: str, home: str) -> Sequence[Command]:
    return [CloseUser(uid=event.uid, cause=event.cause, resident=event.home == home)]


def _user_closed(event: events.UserClosed, source: str, home: str) -> Sequence[Command]:
    if source != home or not event.resident:
        return []
    return [CloseMailbox(uid=event.stream_uid, cause=event.cause)]


def _throttle_began(event: ThrottleBegan, source: str, home: str) -> Sequence[Command]:
    return [Throttle(until=event.until, **_told_of_turns(event, home))] if source == GLOBAL else []


def _throttle_ended(event: ThrottleEnded, source: str, home: str) -> Sequence[Command]:
    return [EndThrottle(**_told_of_turns(event, home))] if source == GLOBAL else []


def _told_of_turns(event: ThrottleBegan | ThrottleEnded, home: str) -> dict[str, Any]:
    fields = ("kind", "uid", "home", "address", "by", "handle", "cause")
    return {"server": home, **{name: getattr(event, name) for name in fields}}


def _home(event: Any) -> Collection[str]:
    return (event.home,)


# The homes that must always hear of an event: those of its recipients or senders. Presence goes to the homes of contacters (`is_told`).
RECIPIENTS: dict[type, Callable[[Any], Collection[str]]] = {
    events.MessageSent: lambda event: (event.to_home,),
    events.MessagesDelivered: lambda event: {home for _, _, home in event.messages},
    events.MessageDone: _home,
    events.MessageBounced: _home,
    events.MessageExpired: _home,
    events.ContactAdded: _home,
    events.ContactRemoved: _home,
    events.ContacterAdded: _home,
    LogSealed: lambda event: (GLOBAL,),  # it keeps the seal where this home cannot change it
}

POLICIES: dict[type, Policy] = {
    events.MessageSent: _message_sent,
    events.MessagesDelivered: _delivered,
    events.MessageDone: _settled("done"),
    events.MessageBounced: _settled("bounced"),
    events.MessageExpired: _settled("bounced"),
    events.ContactAdded: _contact_added,
    events.ContactRemoved: _contact_removed,
    global_events.UserRegistered: _registered,
    global_events.ProfileChanged: _profile_changed,
    global_events.AccountClosed: _account_closed,
    events.UserClosed: _user_closed,
    ThrottleBegan: _throttle_began,
    ThrottleEnded: _throttle_ended,
}
