"""Acknowledging, and with it the sign of life. Rule: one acknowledgement is in flight at a time, and the newest number wins.

Where a poll is about to leave, acknowledgements ride on it; what is processed while it is under way goes by itself, since a poll may
take long and the sender waits for the receipt.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from flash_sdk.backoff import Backoff, Pace
from flash_sdk.errors import FlashClientError, Refused, TryLater
from flash_sdk.mailbox import Mailbox

PROCESSING_S = 0.5  # a poll waits so long for what its predecessor brought: a busy consumer would not see more anyway
PostAck = Callable[[str, int], Awaitable[None]]  # (session, upto) → POST /v1/acks


class Acker:
    """Posts the mailbox's position whenever it is woken. `run` it as a task for as long as its back connection stands."""

    def __init__(self, mailbox: Mailbox, post: PostAck, pace: Pace, processed: Callable[[], Awaitable[None]]) -> None:
        """`processed`: returns when the consumer is done with all that has come."""
        self._mailbox = mailbox
        self._post = post
        self._pace = pace
        self._processed = processed
        self._wanted = asyncio.Event()
        self._free = asyncio.Event()  # no poll is about to leave
        self._free.set()
        self._riding = -1  # what the poll under way carries; none for streams

    def wake(self) -> None:
        """Acknowledge soon, even if the position is the same as before: it is also the answer to a blank."""
        self._wanted.set()

    async def run(self, session: str) -> None:
        """Serve one session until cancelled. Tries again after a lost answer or "later"; raises `Refused` when the home refuses."""
        backoff = Backoff(self._pace)
        if self._mailbox.owes_ack:
            self.wake()
        while True:
            await self._wanted.wait()
            await self._free.wait()
            self._wanted.clear()
            upto = self._mailbox.upto
            if upto <= self._riding:
                continue
            try:
                await self._post(session, upto)
            except TryLater as error:
                await self._pause(backoff, error.retry_after_s or 0.0)
            except Refused:
                raise
            except FlashClientError:
                await self._pause(backoff, 0.0)
            else:
                backoff.reset()
                self._mailbox.confirmed(upto, session)

    def hold(self) -> None:
        """A poll has been answered: what it brought is acknowledged by the next one."""
        self._free.clear()

    async def board(self) -> int:
        """A poll leaves: the number it carries, after a little patience for what is being processed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROCESSING_S):
                await self._processed()
        self._riding = self._mailbox.upto
        self._free.set()
        return self._riding

    def disembark(self) -> None:
        """No more polls: acknowledgements go by themselves."""
        self._riding = -1
        self._free.set()

    def landed(self, session: str) -> None:
        """The poll has been answered, so the home has what it carried."""
        self._mailbox.confirmed(self._riding, session)

    async def _pause(self, backoff: Backoff, at_least_s: float) -> None:
        await asyncio.sleep(backoff.next_s(at_least_s))
        self._wanted.set()

    async def last(self, timeout_s: float) -> None:
        """Before leaving: acknowledge what is processed, if the home answers in time; if not, it is given again and recognised."""
        session = self._mailbox.session
        if session is not None and self._mailbox.owes_ack:
            upto = self._mailbox.upto
            with contextlib.suppress(FlashClientError, TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._post(session, upto)
                    self._mailbox.confirmed(upto, session)
