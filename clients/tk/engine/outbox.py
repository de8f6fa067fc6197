"""Tells the home what it does not know yet: status, wishes for the contact list, messages, closed messages. Rule: disk first, home second.

One task tells everything in that order whenever there is a connection. What fails stays on disk and is told again under the same id.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from clients.tk.disk.messages import Storage
from clients.tk.engine.error_sentences import sentence
from clients.tk.model.inputs import Accepted, ContactWish, Report, SendRefused, StatusSaved, WishGranted, WishRefused
from clients.tk.model.values import MessageKey, OwnStatus, Sent, SentState
from flash_sdk import Contact, FlashClient, NotAContact, Pace, ProtocolError, Refused, TryLater, Unauthorized, Unreachable
from flash_sdk.backoff import Backoff

PACE = Pace(first_s=0.5, longest_s=30.0, factor=2.0)  # the SDK's own longest wait between connections
DEADLINE_S = 10.0  # a message that cannot be sent must not hold back the rest for longer
_log = structlog.get_logger("flash.tk")


class Later(Exception):
    """The home cannot be told right now."""


class Outbox:
    """Tells the home. `wake` it whenever something new is on disk or the connection is back."""

    def __init__(self, storage: Storage, report: Callable[[Report], None], *, direct: bool = False, pace: Pace = PACE) -> None:
        """`direct`: hand messages over directly as well, where the recipient is near. `pace`: of telling again."""
        self._direct = direct
        self._storage = storage
        self._report = report
        self._backoff = Backoff(pace)
        self._wanted = asyncio.Event()
        self.online = False

    def wake(self) -> None:
        """Something new has to be told, or the connection is back."""
        self._wanted.set()

    async def run(self, client: FlashClient) -> None:
        """Tell until cancelled. Raises `Unauthorized` when the grant is no longer good."""
        pause_s: float | None = None
        while True:
            wait_s = pause_s if pause_s is not None else self._next_wish_s()
            try:
                async with asyncio.timeout(wait_s):
                    await self._wanted.wait()
            except TimeoutError:
                pass  # it is time for another try, or for a wish that had to wait
            self._wanted.clear()
            if not self.online or await self._tell_all(client):
                pause_s = None
                self._backoff.reset()
            else:
                pause_s = self._backoff.next_s()

    def _next_wish_s(self) -> float | None:
        """Seconds until the next wish is due; None when none is to come."""
        now = datetime.now(UTC)
        due = [wish.not_before for wish in self._storage.lists.wishes() if wish.not_before is not None and wish.not_before > now]
        return (min(due) - now).total_seconds() if due and self.online else None

    async def _tell_all(self, client: FlashClient) -> bool:
        """Tell everything once. Gives False when something has to be told again later."""
        complete = True
        status = self._storage.lists.status()
        if not status.saved:
            complete &= await self._try(self._tell_status(client, status))
        for wish in self._storage.lists.wishes():
            if wish.not_before is None or wish.not_before <= datetime.now(UTC):
                complete &= await self._try(self._tell_wish(client, wish))
        stuck: set[int] = set()  # recipients of an unsent message, which later messages must not overtake
        for message in self._storage.outbox():
            if message.to not in stuck and not await self._try(self._send(client, message)):
                stuck.add(message.to)
        for key in self._storage.untold():
            complete &= await self._try(self._tell_done(client, key))
        return complete and not stuck

    async def _try(self, telling: Awaitable[None]) -> bool:
        """Tell one thing; True when it need not be told again. Raises `Unauthorized`."""
        try:
            await telling
        except (Unreachable, TryLater, ProtocolError, Later) as error:
            _log.info("tk.told_later", error=type(error).__name__)
            return False
        return True

    async def _tell_status(self, client: FlashClient, status: OwnStatus) -> None:
        lapsed = status.until is not None and status.until <= datetime.now(UTC)
        wanted = OwnStatus(saved=False) if lapsed else status
        try:
            await client.set_status(wanted.status, wanted.note, wanted.until)
        except (TryLater, Unauthorized):
            raise
        except Refused as error:
            _log.warning("tk.status_refused", code=error.code)
        if self._storage.lists.status() == status:  # the person has not changed it meanwhile
            self._storage.lists.put_status(replace(wanted, saved=True))
            self._report(StatusSaved(wanted))

    async def _tell_wish(self, client: FlashClient, wish: ContactWish) -> None:
        contact: Contact | None = None
        try:
            if wish.listed:
                contact = await client.add_contact(wish.uid, wish.alias, wish.notify)
            else:
                await client.remove_contact(wish.uid)
        except (TryLater, Unauthorized):
            raise
        except Refused as error:
            self._storage.lists.settled(wish)
            self._report(WishRefused(wish, sentence(error)))
            return
        self._storage.lists.changed(() if contact is None else (contact,), (wish.uid,) if contact is None else ())
        self._storage.lists.settled(wish)
        self._report(WishGranted(wish, contact))

    async def _send(self, client: FlashClient, message: Sent) -> None:
        try:
            await client.send(
                message.to,
                message.text,
                id=message.id,
                in_reply_to=message.in_reply_to,
                urgent=message.urgent,
                direct=self._direct,
                deadline_s=DEADLINE_S,
            )
        except (TryLater, Unauthorized):
            raise
        except NotAContact as error:
            if any(wish.uid == message.to and wish.listed for wish in self._storage.lists.wishes()):
                raise Later from error  # the recipient will be a contact once the wish is granted
            self._bounced(message.id, sentence(error))
        except Refused as error:
            self._bounced(message.id, sentence(error))
        else:
            self._storage.reached(message.id, SentState.ACCEPTED)
            self._report(Accepted(message.id))

    def _bounced(self, id: str, why: str) -> None:
        self._storage.reached(id, SentState.BOUNCED, why)
        self._report(SendRefused(id, why))

    async def _tell_done(self, client: FlashClient, key: MessageKey) -> None:
        try:
            await client.done(key[1])
        except (TryLater, Unauthorized):
            raise
        except Refused as error:  # the home has forgotten the message, so there is nothing left to tell
            _log.info("tk.done_refused", code=error.code)
        self._storage.told(key)
