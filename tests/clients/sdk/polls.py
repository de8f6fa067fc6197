"""Long polls at the scripted peer: a test takes each poll as it comes and answers it when it likes. Rule: nothing is answered by itself."""

import asyncio
import json
from typing import Any, Self

from aiohttp import web

from tests.clients.sdk.peer import Peer

PATH = "/v1/parts"


class Poll:
    """One poll that waits for its answer."""

    def __init__(self, request: web.Request, body: dict[str, Any]) -> None:
        self.body = body
        self.response: asyncio.Future[web.Response] = asyncio.get_running_loop().create_future()
        self._request = request

    def answer(self, session: str, *parts: tuple[str, dict[str, Any]]) -> None:
        """These parts."""
        said = {"session": session, "parts": [{"part": name, "body": body} for name, body in parts]}
        self.response.set_result(web.json_response(said))

    def welcome(self, session: str, *parts: tuple[str, dict[str, Any]]) -> None:
        """A login, and these parts."""
        body = {"session": session, "uid": 1, "blank_s": 30, "resume": {"verdict": "fresh", "count": 0}, "contacts": []}
        self.answer(session, ("welcome", body), *parts)

    def refuse(self, status: int, code: str | None = None) -> None:
        """A problem of the home's, or without a code a page of something in between."""
        if code is None:
            self.response.set_result(web.Response(status=status, text="<html>", content_type="text/html"))
        else:
            problem = json.dumps({"status": status, "code": code, "detail": "No."})
            self.response.set_result(web.Response(status=status, text=problem, content_type="application/problem+json"))

    def cut(self) -> None:
        """The answer gets lost."""
        assert self._request.transport is not None
        self._request.transport.abort()
        self.response.set_result(web.Response())

    @property
    def dropped(self) -> bool:
        """Whether the client has hung up."""
        return self._request.transport is None or self._request.transport.is_closing()


class Polls:
    """The polls of a peer's clients, in the order in which they come."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._waiting: asyncio.Queue[Poll] = asyncio.Queue()
        self._all: list[Poll] = []

    async def __aenter__(self) -> Self:
        self.peer.polled = self._take
        return self

    async def __aexit__(self, *_: object) -> None:
        for poll in self._all:
            if not poll.response.done():
                poll.response.set_result(web.Response(status=503))

    async def next(self) -> Poll:
        """The next poll."""
        async with asyncio.timeout(10):  # `wait_for` may swallow the cancellation of who answers all
            return await self._waiting.get()

    async def _take(self, request: web.Request, body: Any) -> web.StreamResponse:
        poll = Poll(request, body)
        self._all.append(poll)
        self._waiting.put_nowait(poll)
        return await poll.response
