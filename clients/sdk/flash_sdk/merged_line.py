"""A back connection with a direct line beside it, as one row of parts. Rule: the back connection says when the line begins and ends."""

import asyncio
import contextlib
from typing import Any

from flash_sdk.direct_port import DirectPort, HomeLine
from flash_sdk.errors import FlashClientError
from flash_sdk.parts import Part
from flash_sdk.stream import Line, LogOff, until_goodbye


class Beside:
    """A `direct` part on the back connection begins the line; any other part there than blank or goodbye says that the home has left
    it, and comes after all that was read from it."""

    def __init__(self, back: Line, port: DirectPort, session: str) -> None:
        self.idle_s = back.idle_s  # blanks come there; a line may be silent for as long as it likes
        self._back = back
        self._port = port
        self._offering: asyncio.Task[Any] | None = asyncio.ensure_future(port.offer(session))
        self._coming: asyncio.Task[Part] | None = None  # on the back connection
        self._direct: asyncio.Task[Part] | None = None  # on the line
        self._line: HomeLine | None = None
        self._kept: Part | None = None

    @property
    def ready(self) -> bool:
        """Whether the next part has come already."""
        return self._kept is not None or self._back.ready

    async def next(self) -> Part:
        """The next part of either. Raises what the back connection raises."""
        while True:
            if self._kept is not None:
                part, self._kept = self._kept, None
                return part
            if self._coming is None:
                self._coming = asyncio.ensure_future(self._back.next())
            if self._line is not None and self._direct is None:
                self._direct = asyncio.ensure_future(self._line.next())
            waiting = [task for task in (self._direct, self._coming, self._offering) if task is not None]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            came = self._from_line() or self._from_back() or self._from_offer()
            if came is not None:
                return came

    async def rest(self, log_off: LogOff, into: list[Part]) -> None:
        """End the session, and collect what came before its goodbye, over both."""
        await log_off()
        await until_goodbye(self, into)

    def close(self) -> None:
        """Drop both."""
        self._hang_up()
        for task in (self._coming, self._offering):
            _forget(task)
        self._coming = self._offering = None
        self._back.close()

    def _from_line(self) -> Part | None:
        task, line = self._direct, self._line
        if task is None or line is None or not task.done():
            return None
        self._direct = None
        try:
            part = task.result()
        except FlashClientError:
            self._hang_up()
            return _over("lost")
        line.confirm()
        return part

    def _from_back(self) -> Part | None:
        if self._coming is None or not self._coming.done():
            return None
        task, self._coming = self._coming, None
        part = task.result()
        if part.name == "direct":
            self._hang_up()
            self._line = self._port.take_line()
            return part if self._line is not None else None
        if self._line is not None and part.name not in ("blank", "goodbye"):
            self._hang_up()
            self._kept = part
            return _over("given_up")
        return part

    def _from_offer(self) -> Part | None:
        if self._offering is None or not self._offering.done():
            return None
        task, self._offering = self._offering, None
        why = task.result()
        return None if why is None else _over(why)

    def _hang_up(self) -> None:
        _forget(self._direct)
        self._direct = None
        if self._line is not None:
            self._line.close()
            self._line = None


def _over(why: str) -> Part:
    return Part("direct", {"active": False, "why": why})


def _forget(task: "asyncio.Task[Any] | None") -> None:
    """End a task whose result nobody wants."""
    if task is not None and not task.cancel() and not task.cancelled():
        with contextlib.suppress(FlashClientError):
            task.exception()
