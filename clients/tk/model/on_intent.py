"""Folds the intents of the user. Rule: the windows show the result at once, and keeping or telling it becomes a command."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from clients.tk.model import effects as fx
from clients.tk.model import inputs as said
from clients.tk.model.effects import Effect
from clients.tk.model.inputs import ContactWish
from clients.tk.model.state import State
from clients.tk.model.values import DirectorySearch, HistorySearch, MessageKey, OwnStatus, Sent, SignInState, text_trouble


def _sign_in(state: State, intent: said.SignIn, now: datetime) -> list[Effect]:
    if state.account is not None or state.sign_in.busy:
        return []
    state.sign_in = SignInState(busy=True, server=intent.server, handle=intent.handle)
    return [fx.AccountChanged(), fx.DoSignIn(intent.server, intent.handle, intent.password, intent.register, intent.full_name)]


def _sign_out(state: State, intent: said.SignOut, now: datetime) -> list[Effect]:
    return [fx.DoSignOut()]


def _write(state: State, intent: said.Write, now: datetime) -> list[Effect]:
    if state.messages.sent(intent.id) is not None:
        return []
    if trouble := text_trouble(intent.text):
        return [fx.Say(trouble)]
    effects: list[Effect] = []
    if not state.book.listed(intent.to):  # a user can send only to people on their own list
        row = state.book.row(intent.to)
        effects += state.book.wish(ContactWish(row.uid, row.handle, row.name))
    answers = intent.answers if intent.answers and intent.answers[0] == intent.to else None
    message = Sent(intent.id, intent.to, intent.text, now, answers[1] if answers else None, intent.urgent)
    effects += [*state.messages.wrote(message), fx.Post(message)]
    if answers:
        effects += _closed(state, answers)
    return effects


def _close_message(state: State, intent: said.CloseMessage, now: datetime) -> list[Effect]:
    return _closed(state, intent.key)


def _closed(state: State, key: MessageKey) -> list[Effect]:
    """Close a message. A second time changes nothing."""
    message = state.messages.received(key)
    if message is None or not message.open:
        return []
    moved = not state.book.listed(key[0])
    rows = state.messages.close(key) + state.book.touch(key[0], moved=moved)
    return [*rows, *state.popups.closed([key]), fx.MarkDone(key, tell=True)]


def _close_popup(state: State, intent: said.ClosePopup, now: datetime) -> list[Effect]:
    return state.popups.put_off(intent.popup_id)


def _popup_mapped(state: State, intent: said.PopupMapped, now: datetime) -> list[Effect]:
    return state.popups.mapped(intent.popup_id)


def _mark_read(state: State, intent: said.MarkRead, now: datetime) -> list[Effect]:
    entries = state.messages.read(intent.uid)
    if not entries:
        return []
    rows = state.book.touch(intent.uid, moved=not state.book.listed(intent.uid))
    return [*entries, *rows, *state.popups.looked_at(intent.uid), fx.MarkAllRead(intent.uid)]


def _load_older(state: State, intent: said.LoadOlder, now: datetime) -> list[Effect]:
    if intent.uid not in state.older:
        return []
    return [fx.ReadOlder(intent.uid, state.messages.oldest(intent.uid))]


def _filter(state: State, intent: said.FilterContacts, now: datetime) -> list[Effect]:
    return state.book.search(intent.text)


def _search_directory(state: State, intent: said.SearchDirectory, now: datetime) -> list[Effect]:
    query = intent.query.strip()
    if not query:
        state.directory = DirectorySearch()
        return [fx.DirectoryChanged()]
    state.directory = replace(state.directory, query=query, busy=True, error="")
    return [fx.DirectoryChanged(), fx.FindPeople(query)]


def _search_history(state: State, intent: said.SearchHistory, now: datetime) -> list[Effect]:
    query = intent.query.strip()
    if not query:
        state.history = HistorySearch(uid=intent.uid)
        return [fx.HistoryChanged()]
    state.history = replace(state.history, query=query, uid=intent.uid, busy=True)
    return [fx.HistoryChanged(), fx.FindEntries(query, intent.uid)]


def _add_contact(state: State, intent: said.AddContact, now: datetime) -> list[Effect]:
    if state.book.listed(intent.uid):
        return []
    if intent.uid in state.book.removals:
        return state.book.undo(intent.uid)
    return state.book.wish(ContactWish(intent.uid, intent.handle, intent.name))


def _remove_contact(state: State, intent: said.RemoveContact, now: datetime) -> list[Effect]:
    return state.book.remove(intent.uid, now) if state.book.listed(intent.uid) else []


def _undo_removal(state: State, intent: said.UndoRemoval, now: datetime) -> list[Effect]:
    return state.book.undo(intent.uid)


def _change_contact(state: State, intent: said.ChangeContact, now: datetime) -> list[Effect]:
    row = state.book.row(intent.uid)
    alias = (intent.alias or "").strip() or None
    if not row.listed or (row.alias, row.notify) == (alias, intent.notify):
        return []
    return state.book.wish(ContactWish(row.uid, row.handle, row.name, alias, intent.notify))


def _set_status(state: State, intent: said.SetStatus, now: datetime) -> list[Effect]:
    if intent.until is not None and intent.until <= now:
        return []
    was = state.dnd(now)
    state.status = OwnStatus(intent.status, intent.note, intent.until, saved=False)
    effects: list[Effect] = [fx.StatusChanged(), fx.PutStatus(state.status)]
    if state.dnd(now):
        return effects + state.popups.stop_disturbing()
    return effects + state.popups.disturb_again() if was else effects


FOLDS: dict[type, Callable[[Any, Any, datetime], list[Effect]]] = {
    said.SignIn: _sign_in,
    said.SignOut: _sign_out,
    said.Write: _write,
    said.CloseMessage: _close_message,
    said.ClosePopup: _close_popup,
    said.PopupMapped: _popup_mapped,
    said.MarkRead: _mark_read,
    said.LoadOlder: _load_older,
    said.FilterContacts: _filter,
    said.SearchDirectory: _search_directory,
    said.SearchHistory: _search_history,
    said.AddContact: _add_contact,
    said.RemoveContact: _remove_contact,
    said.UndoRemoval: _undo_removal,
    said.ChangeContact: _change_contact,
    said.SetStatus: _set_status,
}
