"""Folds the events of the home. Rule: one function per SDK event, and each leaves the state right whatever came before it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import flash_sdk as sdk
from clients.tk.model.effects import ConnectionChanged, Effect, MarkDone, StatusChanged
from clients.tk.model.state import State
from clients.tk.model.values import Connection, OwnStatus, Received, SentState, StatusName

WHY_GONE = {
    "unreachable": "no answer from your home",
    "lost": "the connection was lost",
    "silent": "the connection fell silent",
    "held": "this network holds the connection back, trying another way",
    "better": "trying whether this network lets a better way through by now",
    "session": "your home forgot this session",
    "protocol": "something in between answered instead of your home",
    "goodbye": "your home is restarting",
}

# The usual transport is not mentioned.
HOW = {
    "sse": "as server-sent events, this network holds the usual way back",
    "poll": "by asking again and again, this network holds streams back",
}

RECEIPTS = {"delivered": SentState.DELIVERED, "done": SentState.DONE, "bounced": SentState.BOUNCED}
_WHY_BOUNCED = {"mailbox_full": "their mailbox is full", "expired": "nobody fetched it for a month"}


def _connected(state: State, event: sdk.Connected, now: datetime) -> list[Effect]:
    state.connection = Connection("connecting", HOW.get(event.transport, ""))
    return []  # the welcome follows at once


def _welcome(state: State, event: sdk.Welcome, now: datetime) -> list[Effect]:
    state.connection = Connection("connected", state.connection.why if state.connection.state == "connecting" else "")
    rows, came = state.book.welcome(event.contacts, now)
    mine = [] if event.status is None else _my_status(state, event.status, now)
    return [ConnectionChanged(), *mine, *rows, *_came(state, came, now), *state.popups.login(event.count, now)]


def _direct(state: State, event: sdk.Direct, now: datetime) -> list[Effect]:
    if state.connection.state != "connected" or state.connection.direct == event.active:
        return []
    state.connection = replace(state.connection, direct=event.active)
    return [ConnectionChanged()]


def _disconnected(state: State, event: sdk.Disconnected, now: datetime) -> list[Effect]:
    retry_at = None if event.retry_in_s is None else now + timedelta(seconds=event.retry_in_s)
    state.connection = Connection("reconnecting", WHY_GONE.get(event.reason, event.reason), retry_at)
    return [ConnectionChanged(), *state.book.disconnected(), *state.popups.replay_over()]


def _message(state: State, event: sdk.Message, now: datetime) -> list[Effect]:
    sender = event.sender
    message = Received(
        (sender.uid, event.id), sender.handle, sender.name, event.text, event.sent_at, event.in_reply_to, event.urgent
    )  # fmt: skip
    state.book.meet(sender.uid, sender.handle, sender.name)
    added = state.messages.arrived(message)
    kept = state.messages.received(message.key)
    if not added or kept is None:
        return []
    effects = [*added, *state.book.touch(sender.uid, moved=not state.book.listed(sender.uid))]
    if not kept.open:  # another session closed it before it came here
        effects.append(MarkDone(kept.key, tell=False))
    return [*effects, *state.popups.arrived(kept, now, dnd=state.dnd(now))]


def _presence(state: State, event: sdk.Presence, now: datetime) -> list[Effect]:
    rows, came = state.book.presence(event.changes, now)
    gone = [change.uid for change in event.changes if change.presence.status in ("offline", "unknown")]
    return [*rows, *(effect for uid in gone for effect in state.popups.went(uid)), *_came(state, came, now)]


def _came(state: State, uids: list[int], now: datetime) -> list[Effect]:
    dnd = state.dnd(now)
    return [effect for uid in uids for effect in state.popups.came_online(uid, dnd=dnd)]


def _receipt(state: State, event: sdk.Receipt, now: datetime) -> list[Effect]:
    reached = RECEIPTS.get(event.state)
    why = bounce_reason(event.why) if reached is SentState.BOUNCED else None
    return [] if reached is None else state.messages.reached(event.id, reached, why)


def bounce_reason(why: str | None) -> str:
    """The home's reason as a phrase for people."""
    return _WHY_BOUNCED.get(why or "", why or "no reason was given")


def _done(state: State, event: sdk.Done, now: datetime) -> list[Effect]:
    effects, keys = state.messages.done(event.id)
    touched = [effect for key in keys for effect in state.book.touch(key[0], moved=not state.book.listed(key[0]))]
    return [*effects, *touched, *(MarkDone(key, tell=False) for key in keys), *state.popups.closed(keys)]


def _contacts(state: State, event: sdk.Contacts, now: datetime) -> list[Effect]:
    return state.book.changed_elsewhere(event.added, event.removed, now)


def _my_status(state: State, event: sdk.MyStatus, now: datetime) -> list[Effect]:
    """Take the status that the home has, unless the home has yet to hear of a newer one of mine."""
    told, mine = own_status(event), state.status
    if told is not None and told.until is not None and told.until <= now:
        told = OwnStatus()
    if told is None or told == mine or not (mine.saved or mine.says(told)):
        return []
    disturbed = not state.dnd(now)
    state.status = told
    if disturbed == (not state.dnd(now)):
        return [StatusChanged()]
    return [StatusChanged(), *(state.popups.stop_disturbing() if disturbed else state.popups.disturb_again())]


def own_status(told: sdk.MyStatus) -> OwnStatus | None:
    """The status that the home has; None for one that this version does not know."""
    name = _NAMES.get(told.status)
    return None if name is None else OwnStatus(name, told.note, told.until)


_NAMES: dict[str, StatusName] = {"online": "online", "away": "away", "dnd": "dnd"}

FOLDS: dict[type, Callable[[Any, Any, datetime], list[Effect]]] = {
    sdk.Connected: _connected,
    sdk.Welcome: _welcome,
    sdk.Direct: _direct,
    sdk.Disconnected: _disconnected,
    sdk.Message: _message,
    sdk.Presence: _presence,
    sdk.Receipt: _receipt,
    sdk.Done: _done,
    sdk.Contacts: _contacts,
    sdk.MyStatus: _my_status,
}
