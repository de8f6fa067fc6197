"""One signed-in user: the listener, the outbox and the file on disk. Rule: a message is on disk before the windows hear of it.

Everything here runs on the engine's thread. Commands are obeyed from the sign-in on, with or without a connection.
"""

import asyncio
import contextlib
import sqlite3
import time
from contextlib import aclosing
from dataclasses import replace

import structlog

import flash_sdk as sdk
from clients.tk.disk.messages import PAGE, Storage
from clients.tk.engine.bridge import Bridge
from clients.tk.engine.error_sentences import sentence
from clients.tk.engine.outbox import Outbox
from clients.tk.model import effects as fx
from clients.tk.model.inputs import DirectoryAnswer, HistoryAnswer, OlderLoaded, Saved, SendRefused, Trouble
from clients.tk.model.on_sdk_event import RECEIPTS, bounce_reason, own_status
from clients.tk.model.values import Found, SentState
from flash_sdk import FlashClient, FlashClientError, Refused, Unauthorized
from flash_sdk.tasks import end

SHOWN_PEOPLE = 50  # of a directory search: a person who gets more adds a word
MOST_REPORTS = 2000  # that wait for the windows before each further event is held back: a flood then waits at the home
REST_S = 0.05  # meanwhile the windows fold some hundred reports
LOGOFF_S = 2.0  # leaving must not feel slow, and a home that does not answer notices the end by itself
_log = structlog.get_logger("flash.tk")


class Session:
    """Lasts from sign-in to sign-out, over any number of clients and connections."""

    def __init__(self, bridge: Bridge, storage: Storage, *, direct: bool = False) -> None:
        """`direct`: popups may come and go directly between clients."""
        self._bridge = bridge
        self._storage = storage
        self._direct = direct
        self._outbox = Outbox(storage, bridge.report, direct=direct)
        self._client: FlashClient | None = None
        self._search: asyncio.Task[None] | None = None

    async def run(self, client: FlashClient) -> str:
        """Run until the home ends the session for good, and give the reason as a sentence. Logs off when cancelled. Raises `Refused` when
        the home refuses us."""
        self._client = client
        listening = asyncio.create_task(self._listen(client))
        telling = asyncio.create_task(self._outbox.run(client))
        try:
            await asyncio.wait({listening, telling}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()  # it ends only by raising
            await listening
        except asyncio.CancelledError:
            await _leave(client)
            raise
        finally:
            self._client, self._outbox.online = None, False
            await end(listening, telling, self._search)
        return "Your home has ended this session: sign in again."

    # --- events of the home ---

    async def _listen(self, client: FlashClient) -> None:
        async for event in client.listen(seen=self._storage, direct=self._direct):
            came_at = time.monotonic()
            if self._bridge.waiting > MOST_REPORTS:
                await asyncio.sleep(REST_S)
            heard = _printable(event) if isinstance(event, sdk.Message) else event
            try:
                fresh = self._keep(heard)
            except sqlite3.Error as error:
                _log.error("tk.not_kept", error=str(error))
                self._bridge.report(Trouble("What came could not be kept on this computer: is its disk full?"))
                fresh = True
            if fresh:
                self._bridge.report(heard, came_at)
            if isinstance(event, sdk.Welcome):
                self._outbox.online = True
                self._outbox.wake()
            elif isinstance(event, sdk.Disconnected):
                self._outbox.online = False

    def _keep(self, event: sdk.Event) -> bool:
        """Put an event on disk that must outlive this process. Gives False for a message that is on disk already."""
        match event:
            case sdk.Message():
                return self._storage.received(event)
            case sdk.Receipt():
                state = RECEIPTS.get(event.state)
                if state is not None:
                    why = bounce_reason(event.why) if state is SentState.BOUNCED else None
                    self._storage.reached(event.id, state, why)
            case sdk.Welcome():
                self._storage.lists.told(event.contacts)
                self._keep_status(event.status)
            case sdk.MyStatus():
                self._keep_status(event)
            case sdk.Contacts():
                self._storage.lists.changed(event.added, event.removed)
        return True

    def _keep_status(self, told: sdk.MyStatus | None) -> None:
        """Keep the status that the home has, unless the home has yet to hear of a newer one of mine."""
        status = None if told is None else own_status(told)
        if status is not None and self._storage.lists.status().saved:
            self._storage.lists.put_status(status)

    # --- commands of the model ---

    def obey(self, command: fx.Command) -> None:
        """Obey a command of the model. What concerns the disk is done on return."""
        try:
            self._obey(command)
        except sqlite3.Error as error:
            _log.error("tk.not_kept", error=str(error))
            if isinstance(command, fx.Post):
                self._bridge.report(SendRefused(command.sent.id, "it could not be kept on this computer: is its disk full?"))
            else:
                self._bridge.report(Trouble("This computer's disk refuses: is it full?"))

    def _obey(self, command: fx.Command) -> None:
        storage, report = self._storage, self._bridge.report
        match command:
            case fx.Post(sent):
                storage.wrote(sent)
                report(Saved(sent.id))
                self._outbox.wake()
            case fx.MarkDone(key, tell):
                storage.done(key, tell=tell)
                if tell:
                    self._outbox.wake()
            case fx.MarkShown(keys):
                storage.shown(keys)
            case fx.MarkAllRead(uid):
                storage.read(uid)
            case fx.Wish(wish):
                storage.lists.wish(wish)
                self._outbox.wake()
            case fx.PutStatus(status):
                storage.lists.put_status(status)
                self._outbox.wake()
            case fx.ReadOlder(uid, before):
                page = storage.older(uid, before)
                report(OlderLoaded(uid, page, more=len(page) == PAGE))
            case fx.FindEntries(query, person):
                report(HistoryAnswer(query, person, storage.search(query, person)))
            case fx.FindPeople(query):
                self._find_people(query)

    def _find_people(self, query: str) -> None:
        if self._search is not None:
            self._search.cancel()
        if self._client is None:
            self._bridge.report(DirectoryAnswer(query, error="There is no connection right now: try again in a moment."))
        else:
            self._search = asyncio.create_task(self._search_people(self._client, query))

    async def _search_people(self, client: FlashClient, query: str) -> None:
        found: list[Found] = []
        complete = True
        try:
            async with aclosing(client.search(query, limit=SHOWN_PEOPLE)) as users:
                async for user in users:
                    if len(found) == SHOWN_PEOPLE:
                        complete = False
                        break
                    found.append(Found(user.uid, user.handle, user.profile.get("full_name", ""), tuple(user.profile.items())))
        except Unauthorized:
            self._bridge.report(DirectoryAnswer(query, error="Your login has expired: sign out and in again."))
        except (FlashClientError, Refused) as error:
            self._bridge.report(DirectoryAnswer(query, error=sentence(error)))
        else:
            self._bridge.report(DirectoryAnswer(query, tuple(found), complete))


async def _leave(client: FlashClient) -> None:
    """Log off, so that contacters see it at once. Give up when the home does not answer soon."""
    with contextlib.suppress(FlashClientError, TimeoutError):
        async with asyncio.timeout(LOGOFF_S):
            await client.logoff()


def _printable(message: sdk.Message) -> sdk.Message:
    """Replace halves of surrogate pairs: JSON can carry them, and neither SQLite nor Tk takes them."""
    sender = replace(message.sender, handle=_whole(message.sender.handle), name=_whole(message.sender.name))
    return replace(message, text=_whole(message.text), sender=sender)


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
