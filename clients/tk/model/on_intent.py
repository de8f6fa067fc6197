"""Folding what the user wants. Rule: what can be shown at once is shown at once; what must be kept or told becomes a command."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clients.tk.model import effects as fx
from clients.tk.model import inputs as said
from clients.tk.model.effects import Effect
from clients.tk.model.inputs import ContactWish
from clients.tk.model.values import DirectorySearch, HistorySearch, MessageKey, OwnStatus, Sent, SignInState, text_trouble

if TYPE_CHECKING:
    from clients.tk.model.model import Model


def _sign_in(model: "Model", intent: said.SignIn, now: datetime) -> list[Effect]:
    if model.account is not None or model.sign_in.busy:
        return []
    model.sign_in = SignInState(busy=True, server=intent.server, handle=intent.handle)
    return [fx.AccountChanged(), fx.DoSignIn(intent.server, intent.handle, intent.password, intent.register, intent.full_name)]


def _sign_out(model: "Model", intent: said.SignOut, now: datetime) -> list[Effect]:
    return [fx.DoSignOut()]


def _write(model: "Model", intent: said.Write, now: datetime) -> list[Effect]:
    if model.messages.sent(intent.id) is not None:
        return []
    if trouble := text_trouble(intent.text):
        return [fx.Say(trouble)]
    effects: list[Effect] = []
    if not model.book.listed(intent.to):  # nobody can send to one who is not on their list
        row = model.book.row(intent.to)
        effects += model.book.wish(ContactWish(row.uid, row.handle, row.name))
    answers = intent.answers if intent.answers and intent.answers[0] == intent.to else None
    message = Sent(intent.id, intent.to, intent.text, now, answers[1] if answers else None, intent.urgent)
    effects += [*model.messages.wrote(message), fx.Post(message)]
    if answers:
        effects += _closed(model, answers)
    return effects


def _close_message(model: "Model", intent: said.CloseMessage, now: datetime) -> list[Effect]:
    return _closed(model, intent.key)


def _closed(model: "Model", key: MessageKey) -> list[Effect]:
    """Done: nothing the second time."""
    message = model.messages.received(key)
    if message is None or not message.open:
        return []
    moved = not model.book.listed(key[0])
    rows = model.messages.close(key) + model.book.touch(key[0], moved=moved)
    return [*rows, *model.desk.closed([key]), fx.MarkDone(key, tell=True)]


def _close_popup(model: "Model", intent: said.ClosePopup, now: datetime) -> list[Effect]:
    return model.desk.put_off(intent.popup_id)


def _popup_mapped(model: "Model", intent: said.PopupMapped, now: datetime) -> list[Effect]:
    return model.desk.mapped(intent.popup_id)


def _mark_read(model: "Model", intent: said.MarkRead, now: datetime) -> list[Effect]:
    entries = model.messages.read(intent.uid)
    if not entries:
        return []
    rows = model.book.touch(intent.uid, moved=not model.book.listed(intent.uid))
    return [*entries, *rows, *model.desk.looked_at(intent.uid), fx.MarkAllRead(intent.uid)]


def _load_older(model: "Model", intent: said.LoadOlder, now: datetime) -> list[Effect]:
    if intent.uid not in model.older:
        return []
    return [fx.ReadOlder(intent.uid, model.messages.oldest(intent.uid))]


def _filter(model: "Model", intent: said.FilterContacts, now: datetime) -> list[Effect]:
    return model.book.search(intent.text)


def _search_directory(model: "Model", intent: said.SearchDirectory, now: datetime) -> list[Effect]:
    query = intent.query.strip()
    if not query:
        model.directory = DirectorySearch()
        return [fx.DirectoryChanged()]
    model.directory = replace(model.directory, query=query, busy=True, error="")
    return [fx.DirectoryChanged(), fx.FindPeople(query)]


def _search_history(model: "Model", intent: said.SearchHistory, now: datetime) -> list[Effect]:
    query = intent.query.strip()
    if not query:
        model.history = HistorySearch(uid=intent.uid)
        return [fx.HistoryChanged()]
    model.history = replace(model.history, query=query, uid=intent.uid, busy=True)
    return [fx.HistoryChanged(), fx.FindEntries(query, intent.uid)]


def _add_contact(model: "Model", intent: said.AddContact, now: datetime) -> list[Effect]:
    if model.book.listed(intent.uid):
        return []
    if intent.uid in model.book.removals:
        return model.book.undo(intent.uid)
    return model.book.wish(ContactWish(intent.uid, intent.handle, intent.name))


def _remove_contact(model: "Model", intent: said.RemoveContact, now: datetime) -> list[Effect]:
    return model.book.remove(intent.uid, now) if model.book.listed(intent.uid) else []


def _undo_removal(model: "Model", intent: said.UndoRemoval, now: datetime) -> list[Effect]:
    return model.book.undo(intent.uid)


def _change_contact(model: "Model", intent: said.ChangeContact, now: datetime) -> list[Effect]:
    row = model.book.row(intent.uid)
    alias = (intent.alias or "").strip() or None
    if not row.listed or (row.alias, row.notify) == (alias, intent.notify):
        return []
    return model.book.wish(ContactWish(row.uid, row.handle, row.name, alias, intent.notify))


def _set_status(model: "Model", intent: said.SetStatus, now: datetime) -> list[Effect]:
    if intent.until is not None and intent.until <= now:
        return []
    was = model.dnd(now)
    model.status = OwnStatus(intent.status, intent.note, intent.until, saved=False)
    effects: list[Effect] = [fx.StatusChanged(), fx.PutStatus(model.status)]
    if model.dnd(now):
        return effects + model.desk.stop_disturbing()
    return effects + model.desk.disturb_again() if was else effects


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
