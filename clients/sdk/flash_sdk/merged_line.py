"""A back connection and a direct line beside it, as one row of parts. Rule: the back connection says when the line begins and ends."""

import asyncio
from typing import Any

from flash_sdk.direct_port import DirectLine, DirectPort
from flash_sdk.errors import FlashClientError
from flash_sdk.parts import Part
from flash_sdk.stream import Line, LogOff, until_goodbye
from flash_sdk.tasks import drop_error


class MergedLine:
    """A `direct` part on the back connection begins the direct line. Any other part there, except blank and goodbye, says that the home
    has left the direct line; that part is given out after everything that was read from the direct line."""

    def __init__(self, back: Line, port: DirectPort, session: str) -> None:
        self.idle_s = back.idle_s  # blanks come on the back connection only, so the direct line may be silent for as long as it likes
        self._back = back
        self._port = port
        self._offering: asyncio.Task[Any] | None = asyncio.ensure_future(port.offer(session))
        self._from_back: asyncio.Task[Part] | None = None
        self._from_direct: asyncio.Task[Part] | None = None
        self._direct: DirectLine | None = None
        self._kept: Part | None = None

    @property
    def ready(self) -> bool:
        return self._kept is not None or self._back.ready

    async def next(self) -> Part:
        while True:
            if self._kept is not None:
                part, self._kept = self._kept, None
                return part
            if self._from_back is None:
                self._from_back = asyncio.ensure_future(self._back.next())
            if self._direct is not None and self._from_direct is None:
                self._from_direct = asyncio.ensure_future(self._direct.next())
            waiting = [task for task in (self._from_direct, self._from_back, self._offering) if task is not None]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            came = self._take_from_direct() or self._take_from_back() or self._take_answer_to_offer()
            if came is not None:
                return came

    async def rest(self, log_off: LogOff, into: list[Part]) -> None:
        await log_off()
        await until_goodbye(self, into)

    def close(self) -> None:
        self._hang_up()
        for task in (self._from_back, self._offering):
            _forget(task)
        self._from_back = self._offering = None
        self._back.close()

    def _take_from_direct(self) -> Part | None:
        task, line = self._from_direct, self._direct
        if task is None or line is None or not task.done():
            return None
        self._from_direct = None
        try:
            part = task.result()
        except FlashClientError:
            self._hang_up()
            return _ended("lost")
        line.confirm()
        return part

    def _take_from_back(self) -> Part | None:
        if self._from_back is None or not self._from_back.done():
            return None
        task, self._from_back = self._from_back, None
        part = task.result()
        if part.name == "direct":
            self._hang_up()
            self._direct = self._port.take_line()
            return part if self._direct is not None else None
        if self._direct is not None and part.name not in ("blank", "goodbye"):
            self._hang_up()
            self._kept = part
            return _ended("given_up")
        return part

    def _take_answer_to_offer(self) -> Part | None:
        if self._offering is None or not self._offering.done():
            return None
        task, self._offering = self._offering, None
        why = task.result()
        return None if why is None else _ended(why)

    def _hang_up(self) -> None:
        _forget(self._from_direct)
        self._from_direct = None
        if self._direct is not None:
            self._direct.close()
            self._direct = None


def _ended(why: str) -> Part:
    return Part("direct", {"active": False, "why": why})


def _forget(task: "asyncio.Task[Any] | None") -> None:
    """Cancel a task whose result nobody wants, without waiting: its owner closes the connection that it reads from."""
    if task is not None:
        task.cancel()
        task.add_done_callback(drop_error)
