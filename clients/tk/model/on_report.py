"""Folds the reports of the engine. Rule: one function per report, and a report on something that is no longer wanted changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from clients.tk.model import effects as fx
from clients.tk.model import inputs as said
from clients.tk.model.contacts import ContactBook
from clients.tk.model.messages import Conversations
from clients.tk.model.popups import Popups
from clients.tk.model.state import State
from clients.tk.model.values import Connection, DirectorySearch, HistorySearch, OwnStatus, Received, SentState, SignInState


def _tick(state: State, report: said.Tick, now: datetime) -> list[fx.Effect]:
    effects = [*state.book.forget_removals(now), *state.popups.tick(now)]
    if state.status.until is not None and state.status.until <= now:  # the home ends the status by itself
        over, state.status = state.status, OwnStatus()
        effects.append(fx.StatusChanged())
        if over.status == "dnd":
            effects += state.popups.disturb_again()
    return effects


def _signing_in(state: State, report: said.SigningIn, now: datetime) -> list[fx.Effect]:
    state.sign_in = SignInState(busy=True, server=report.server, handle=report.handle)
    return [fx.AccountChanged()]


def _signed_in(state: State, report: said.SignedIn, now: datetime) -> list[fx.Effect]:
    effects = _forget_all(state)
    state.account = report.account
    state.sign_in = SignInState(server=report.account.server, handle=report.account.handle)
    state.connection = Connection("connecting")
    state.status = report.status
    for person in report.people:
        state.book.meet(*person)
    state.book.remember(report.contacts, report.wishes)
    state.messages.remember(report.entries)
    state.older = set(report.older)
    received = [entry for entry in report.entries if isinstance(entry, Received)]
    for entry in received:
        state.book.meet(entry.uid, entry.handle, entry.name)
    effects += [fx.AccountChanged(), fx.ConnectionChanged(), fx.StatusChanged(), fx.ContactsChanged()]
    waiting = [entry for entry in received if entry.open and (entry.urgent or entry.key in report.unshown)]
    return effects + state.popups.waiting(waiting, dnd=state.dnd(now))


def _signed_out(state: State, report: said.SignedOut, now: datetime) -> list[fx.Effect]:
    effects = _forget_all(state)
    state.account = None
    state.connection = Connection("signed_out", report.why)
    before = state.sign_in
    state.sign_in = SignInState(error=report.why, server=report.server or before.server, handle=report.handle or before.handle)
    return [
        *effects,
        fx.AccountChanged(),
        fx.ConnectionChanged(),
        fx.ContactsChanged(),
        fx.StatusChanged(),
        fx.RemovalsChanged(),
        fx.ReplayChanged(),
    ]


def _forget_all(state: State) -> list[fx.Effect]:
    """Forget everything, because the next user must see nothing of this one."""
    effects = state.popups.clear()
    state.book, state.messages, state.popups = ContactBook(state.book.undo_s), Conversations(), Popups()
    state.status, state.directory, state.history = OwnStatus(), DirectorySearch(), HistorySearch()
    state.older = set()
    return effects


def _granted(state: State, report: said.WishGranted, now: datetime) -> list[fx.Effect]:
    return state.book.granted(report.wish, report.contact)


def _refused(state: State, report: said.WishRefused, now: datetime) -> list[fx.Effect]:
    return [*state.book.unwish(report.wish), fx.Say(f"{report.wish.alias or report.wish.handle}: {report.why}")]


def _saved(state: State, report: said.Saved, now: datetime) -> list[fx.Effect]:
    return state.messages.reached(report.id, SentState.WAITING)


def _accepted(state: State, report: said.Accepted, now: datetime) -> list[fx.Effect]:
    return state.messages.reached(report.id, SentState.ACCEPTED)


def _send_refused(state: State, report: said.SendRefused, now: datetime) -> list[fx.Effect]:
    return state.messages.reached(report.id, SentState.BOUNCED, report.why)


def _status_saved(state: State, report: said.StatusSaved, now: datetime) -> list[fx.Effect]:
    if state.status.saved or not state.status.says(report.status):
        return []
    state.status = replace(state.status, saved=True)
    return [fx.StatusChanged()]


def _directory(state: State, report: said.DirectoryAnswer, now: datetime) -> list[fx.Effect]:
    if report.query != state.directory.query:
        return []
    state.directory = DirectorySearch(report.query, report.found, complete=report.complete, error=report.error)
    return [fx.DirectoryChanged()]


def _history(state: State, report: said.HistoryAnswer, now: datetime) -> list[fx.Effect]:
    if (report.query, report.uid) != (state.history.query, state.history.uid):
        return []
    state.history = HistorySearch(report.query, report.uid, report.entries)
    return [fx.HistoryChanged()]


def _older(state: State, report: said.OlderLoaded, now: datetime) -> list[fx.Effect]:
    if not report.more:
        state.older.discard(report.uid)
    state.messages.prepend(report.uid, report.entries)
    return [fx.ConversationChanged(report.uid)]


def _trouble(state: State, report: said.Trouble, now: datetime) -> list[fx.Effect]:
    if state.account is None:
        state.sign_in = replace(state.sign_in, busy=False, error=report.what)
        return [fx.AccountChanged()]
    return [fx.Say(report.what)]


FOLDS: dict[type, Callable[[Any, Any, datetime], list[fx.Effect]]] = {
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
