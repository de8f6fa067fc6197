"""Acknowledges what the consumer has processed, which is also the sign of life. Rule: one at a time, and the newest number wins.

While a poll is about to be sent, the acknowledgement waits and travels on that poll. What is processed while a poll is under way is
acknowledged by a request of its own, because a poll may take long and the sender waits for the receipt.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from flash_sdk.backoff import Backoff, Pace
from flash_sdk.errors import FlashClientError, Refused, TryLater
from flash_sdk.mailbox import Mailbox

PROCESSING_S = 0.5  # how long a poll waits until the parts of the poll before are processed: a busy consumer needs longer anyway
PostAck = Callable[[str, int], Awaitable[None]]  # (session, upto) → POST /v1/acks


class Acker:
    """Posts the mailbox's position whenever it is woken. `run` it as a task for as long as its back connection stands."""

    def __init__(self, mailbox: Mailbox, post: PostAck, pace: Pace, processed: Callable[[], Awaitable[None]]) -> None:
        """`processed`: returns when the consumer has processed everything that has come."""
        self._mailbox = mailbox
        self._post = post
        self._pace = pace
        self._processed = processed
        self._wanted = asyncio.Event()
        self._may_post = asyncio.Event()  # it is clear while a poll is about to be sent
        self._may_post.set()
        self._on_poll = -1  # the number that the poll under way carries; streams carry none

    def wake(self) -> None:
        """Acknowledge soon, even if the position is the same as before: this also answers a blank."""
        self._wanted.set()

    async def run(self, session: str) -> None:
        """Serve one session until cancelled. Tries again after a lost answer or "later"; raises `Refused` when the home refuses."""
        backoff = Backoff(self._pace)
        if self._mailbox.owes_ack:
            self.wake()
        while True:
            await self._wanted.wait()
            await self._may_post.wait()
            self._wanted.clear()
            upto = self._mailbox.upto
            if upto <= self._on_poll:
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

    def poll_answered(self) -> None:
        """Hold acknowledgements back: the next poll acknowledges what the answer brought."""
        self._may_post.clear()

    async def poll_starts(self) -> int:
        """The number that the next poll carries, after a short wait for what is being processed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROCESSING_S):
                await self._processed()
        self._on_poll = self._mailbox.upto
        self._may_post.set()
        return self._on_poll

    def poll_confirmed(self, session: str) -> None:
        """The poll has been answered, so the home has the number that it carried."""
        self._mailbox.confirmed(self._on_poll, session)

    def no_more_polls(self) -> None:
        """From now on every acknowledgement is a request of its own."""
        self._on_poll = -1
        self._may_post.set()

    async def _pause(self, backoff: Backoff, at_least_s: float) -> None:
        await asyncio.sleep(backoff.next_s(at_least_s))
        self._wanted.set()

    async def last(self, timeout_s: float) -> None:
        """Acknowledge what is processed before leaving. If the home does not answer in time, it sends those messages again, and they
        are recognised."""
        session = self._mailbox.session
        if session is not None and self._mailbox.owes_ack:
            upto = self._mailbox.upto
            with contextlib.suppress(FlashClientError, TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._post(session, upto)
                    self._mailbox.confirmed(upto, session)
