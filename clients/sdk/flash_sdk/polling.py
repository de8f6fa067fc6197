"""Parts fetched by long polls, for networks that hold streams back. Rule: an answer that may have brought parts is never asked for twice.

When the answer to a poll is lost, or comes from something between us and the home, it may have held parts that the home takes for
delivered. Then the session is given up, and the next one starts after what was processed. Only a refusal by the home itself brought
nothing for certain: then the same poll is sent again.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from flash_sdk import json_fields as fields
from flash_sdk.acks import Acker
from flash_sdk.backoff import Backoff, Pace
from flash_sdk.errors import ProtocolError, TryLater, Unreachable
from flash_sdk.json_fields import Json
from flash_sdk.parts import Part
from flash_sdk.stream import MAX_LAST_PARTS, WELCOME_TIMEOUT_S, LogOff, Lost

WAIT_S = 25.0  # below the 30 s after which impatient proxies give up on an answer
ANSWER_S = 10.0  # what an answer may take beyond the waiting
TOO_SOON_S = 1.0  # a home that answers a waiting poll with nothing in less would otherwise be asked again without end
BY_THE_HOME = frozenset({"unavailable", "too_many_requests"})  # the home's own words for "later"; a proxy says only a status

Ask = Callable[[dict[str, Any], float], Awaitable[dict[str, Any]]]  # (body, timeout_s) → POST /v1/parts


class PollLine:
    """Reads parts by polling; acknowledgements travel on the polls. An empty answer becomes a blank."""

    def __init__(self, ask: Ask, hello: dict[str, Any], acker: Acker, pace: Pace) -> None:
        """`hello`: as for a back connection."""
        self.idle_s = WELCOME_TIMEOUT_S  # unused: each poll has a time limit of its own instead
        self._ask = ask
        self._hello = hello
        self._acker = acker
        self._backoff = Backoff(pace)
        self._session: str | None = None
        self._parts: deque[Part] = deque()

    @property
    def ready(self) -> bool:
        return bool(self._parts)

    async def next(self) -> Part:
        """The next part. Raises `Lost`, `ProtocolError` or `Refused`; before the session is open also `Unreachable`."""
        if not self._parts:
            self._parts.extend(await self._poll(self._session, WAIT_S) if self._session is not None else await self._open())
        return self._parts.popleft()

    async def rest(self, log_off: LogOff, into: list[Part]) -> None:
        """Collect what waits, and end the session afterwards: a polled session is sent nothing but the goodbye after its end."""
        into.extend(self._parts)
        self._parts.clear()
        if self._session is not None:
            while (parts := await self._poll(self._session, 0)) and parts[0].name not in ("blank", "goodbye"):
                into.extend(part for part in parts if part.name != "goodbye")
                if len(into) > MAX_LAST_PARTS:
                    raise Lost("the home does not end the session")
        await log_off()

    def close(self) -> None:
        """No connection stands between polls; acknowledgements need not wait for a next poll any more."""
        self._acker.no_more_polls()

    async def _open(self) -> list[Part]:
        resume = self._hello.get("resume") or {}
        body = {"session": None, "upto": resume.get("seq", 0), "wait_s": 0, "client": self._hello["client"]}
        if "session" in resume:
            body["replaces"] = resume["session"]
        self._acker.poll_answered()
        answer = await self._ask(body, WELCOME_TIMEOUT_S)
        if not answer.get("parts"):
            raise ProtocolError("a login was answered without a welcome")
        return self._read(answer)

    async def _poll(self, session: str, wait_s: float) -> list[Part]:
        upto = await self._acker.poll_starts()
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                answer = await self._ask({"session": session, "upto": upto, "wait_s": wait_s}, wait_s + ANSWER_S)
            except TryLater as error:
                if error.code not in BY_THE_HOME:
                    raise
                await asyncio.sleep(self._backoff.next_s(error.retry_after_s or 0.0))
            except Unreachable as error:
                raise Lost("an answer got lost") from error
            else:
                break
        self._acker.poll_answered()
        self._acker.poll_confirmed(session)
        parts = self._read(answer)
        if wait_s and clock() - began < TOO_SOON_S and all(part.name == "blank" for part in parts):
            await asyncio.sleep(self._backoff.next_s())
        else:
            self._backoff.reset()
        return parts

    def _read(self, answer: Json) -> list[Part]:
        self._session = fields.text(answer, "session")
        parts = [_part(fields.text(part, "part"), fields.section(part, "body")) for part in fields.sections(answer, "parts")]
        return parts or [Part("blank", {})]


def _part(name: str, body: dict[str, Any]) -> Part:
    return Part(name, body, size=len(json.dumps(body)))
