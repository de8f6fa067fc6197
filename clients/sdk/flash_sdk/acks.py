"""Acknowledging, and with it the sign of life. Rule: one acknowledgement is in flight at a time, and the newest number wins."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from flash_sdk.backoff import Backoff, Pace
from flash_sdk.errors import FlashClientError, Refused, TryLater
from flash_sdk.mailbox import Mailbox

PostAck = Callable[[str, int], Awaitable[None]]  # (session, upto) → POST /v1/acks


class Acker:
    """Posts the mailbox's position whenever it is woken. `run` it as a task for as long as its back connection stands."""

    def __init__(self, mailbox: Mailbox, post: PostAck, pace: Pace) -> None:
        self._mailbox = mailbox
        self._post = post
        self._pace = pace
        self._wanted = asyncio.Event()

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
            self._wanted.clear()
            upto = self._mailbox.upto
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
