"""Folding what the engine reports. Rule: one function per report; a report on what is no longer wanted changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clients.tk.model import inputs as said
from clients.tk.model.contacts import ContactBook
from clients.tk.model.effects import (
    AccountChanged,
    ConnectionChanged,
    ContactsChanged,
    ConversationChanged,
    DirectoryChanged,
    Effect,
    HistoryChanged,
    RemovalsChanged,
    ReplayChanged,
    Say,
    StatusChanged,
)
from clients.tk.model.messages import Conversations
from clients.tk.model.popups import Popups
from clients.tk.model.values import Connection, DirectorySearch, HistorySearch, OwnStatus, Received, SentState, SignInState

if TYPE_CHECKING:
    from clients.tk.model.model import Model


def _tick(model: "Model", report: said.Tick, now: datetime) -> list[Effect]:
    effects = [*model.book.forget_removals(now), *model.desk.tick(now)]
    if model.status.until is not None and model.status.until <= now:  # the home lets it lapse by itself
        over, model.status = model.status, OwnStatus()
        effects.append(StatusChanged())
        if over.status == "dnd":
            effects += model.desk.disturb_again()
    return effects


def _signing_in(model: "Model", report: said.SigningIn, now: datetime) -> list[Effect]:
    model.sign_in = SignInState(busy=True, server=report.server, handle=report.handle)
    return [AccountChanged()]


def _signed_in(model: "Model", report: said.SignedIn, now: datetime) -> list[Effect]:
    effects = _forget_all(model)
    model.account = report.account
    model.sign_in = SignInState(server=report.account.server, handle=report.account.handle)
    model.connection = Connection("connecting")
    model.status = report.status
    for person in report.people:
        model.book.meet(*person)
    model.book.remember(report.contacts, report.wishes)
    model.messages.remember(report.entries)
    model.older = set(report.older)
    received = [entry for entry in report.entries if isinstance(entry, Received)]
    for entry in received:
        model.book.meet(entry.uid, entry.handle, entry.name)
    effects += [AccountChanged(), ConnectionChanged(), StatusChanged(), ContactsChanged()]
    waiting = [entry for entry in received if entry.open and (entry.urgent or entry.key in report.unshown)]
    return effects + model.desk.waiting(waiting, dnd=model.dnd(now))


def _signed_out(model: "Model", report: said.SignedOut, now: datetime) -> list[Effect]:
    effects = _forget_all(model)
    model.account = None
    model.connection = Connection("signed_out", report.why)
    before = model.sign_in
    model.sign_in = SignInState(error=report.why, server=report.server or before.server, handle=report.handle or before.handle)
    return [*effects, AccountChanged(), ConnectionChanged(), ContactsChanged(), StatusChanged(), RemovalsChanged(), ReplayChanged()]


def _forget_all(model: "Model") -> list[Effect]:
    """Nothing of one user may be seen by the next."""
    effects = model.desk.clear()
    model.book, model.messages, model.desk = ContactBook(), Conversations(), Popups()
    model.status, model.directory, model.history = OwnStatus(), DirectorySearch(), HistorySearch()
    model.older = set()
    return effects


def _granted(model: "Model", report: said.WishGranted, now: datetime) -> list[Effect]:
    return model.book.granted(report.wish, report.contact)


def _refused(model: "Model", report: said.WishRefused, now: datetime) -> list[Effect]:
    return [*model.book.unwish(report.wish), Say(f"{report.wish.alias or report.wish.handle}: {report.why}")]


def _saved(model: "Model", report: said.Saved, now: datetime) -> list[Effect]:
    return model.messages.reached(report.id, SentState.WAITING)


def _accepted(model: "Model", report: said.Accepted, now: datetime) -> list[Effect]:
    return model.messages.reached(report.id, SentState.ACCEPTED)


def _send_refused(model: "Model", report: said.SendRefused, now: datetime) -> list[Effect]:
    return model.messages.reached(report.id, SentState.BOUNCED, report.why)


def _status_saved(model: "Model", report: said.StatusSaved, now: datetime) -> list[Effect]:
    if model.status.saved or not model.status.says(report.status):
        return []
    model.status = replace(model.status, saved=True)
    return [StatusChanged()]


def _directory(model: "Model", report: said.DirectoryAnswer, now: datetime) -> list[Effect]:
    if report.query != model.directory.query:
        return []
    model.directory = DirectorySearch(report.query, report.found, complete=report.complete, error=report.error)
    return [DirectoryChanged()]


def _history(model: "Model", report: said.HistoryAnswer, now: datetime) -> list[Effect]:
    if (report.query, report.uid) != (model.history.query, model.history.uid):
        return []
    model.history = HistorySearch(report.query, report.uid, report.entries)
    return [HistoryChanged()]


def _older(model: "Model", report: said.OlderLoaded, now: datetime) -> list[Effect]:
    if not report.more:
        model.older.discard(report.uid)
    model.messages.prepend(report.uid, report.entries)
    return [ConversationChanged(report.uid)]


def _trouble(model: "Model", report: said.Trouble, now: datetime) -> list[Effect]:
    if model.account is None:
        model.sign_in = replace(model.sign_in, busy=False, error=report.what)
        return [AccountChanged()]
    return [Say(report.what)]


FOLDS: dict[type, Callable[[Any, Any, datetime], list[Effect]]] = {
    said.Tick: _tick,
    said.SigningIn: _signing_in,
    said.SignedIn: _signed_in,
    said.SignedOut: _signed_out,
    said.WishGranted: _granted,
    said.WishRefused: _refused,
    said.Saved: _saved,
    said.Accepted: _accepted,
    said.SendRefused: _send_refused,
    said.StatusSaved: _status_saved,
    said.DirectoryAnswer: _directory,
    said.HistoryAnswer: _history,
    said.OlderLoaded: _older,
    said.Trouble: _trouble,
}
