"""A scripted server: a real HTTP server on a real socket that says exactly what a test tells it to. Rule: it decides nothing by itself
but the plain success of each call; fragmentation, cut connections, goodbyes and refusals are played by the test."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Self

from aiohttp import web

from tests.support.waiting import eventually

AT = "2030-01-02T03:04:05.000006Z"
PASSWORD = "correct horse"


class BackConnection:
    """One back connection as the server sees it. The test writes; the client reads."""

    def __init__(self, request: web.Request, response: web.StreamResponse, hello: dict[str, Any]) -> None:
        self.hello = hello
        self.headers = request.headers
        self._request = request
        self._response = response
        self.over = asyncio.Event()

    async def write(self, raw: bytes) -> None:
        """Exactly these bytes, now."""
        await self._response.write(raw)

    async def part(self, name: str, **body: Any) -> None:
        """A well-formed part, as docs/protocol.md describes it."""
        await self.write(framed(name, body))

    async def welcome(self, session: str = "s1", verdict: str = "fresh", blank_s: float = 30, contacts: Any = ()) -> None:
        """Let the client in."""
        await self.write(b"--flash\r\n")
        resume = {"verdict": verdict, "count": 0}
        await self.part("welcome", session=session, uid=1, blank_s=blank_s, resume=resume, contacts=list(contacts))

    async def message(self, seq: int, text: str = "hi", id: str | None = None, sender: int = 2) -> None:
        """A popup from bob, unless another sender is named."""
        await self.part("message", **message(seq, text, id, sender))

    async def receipt(self, seq: int, id: str, state: str = "delivered") -> None:
        """A receipt for a message to bob."""
        await self.part("receipt", id=id, to=2, state=state, at=AT, why=None, seq=seq)

    def cut(self) -> None:
        """As if a cable was pulled out: no goodbye, no end of the response."""
        assert self._request.transport is not None
        self._request.transport.abort()
        self.over.set()

    def end(self) -> None:
        """End the response properly, whether or not a goodbye was said."""
        self.over.set()

    @property
    def dropped(self) -> bool:
        """Whether the client has closed it."""
        return self._request.transport is None or self._request.transport.is_closing()


def framed(name: str, body: dict[str, Any]) -> bytes:
    """A part and the boundary right after it."""
    raw = json.dumps(body).encode()
    head = f"Content-Type: application/json\r\nFlash-Part: {name}\r\nContent-Length: {len(raw)}\r\n\r\n"
    return head.encode() + raw + b"\r\n--flash\r\n"


def message(seq: int, text: str = "hi", id: str | None = None, sender: int = 2) -> dict[str, Any]:
    """The body of a `message` part."""
    who = {"uid": sender, "handle": "bob", "name": "Bob Jones"}
    return {"seq": seq, "id": id or f"m{seq}", "from": who, "text": text, "sent_at": AT, "in_reply_to": None, "urgent": False}


def contact(uid: int, handle: str, status: str = "online") -> dict[str, Any]:
    """A *contact* of the protocol."""
    presence = {"status": status, "since": AT, "note": ""}
    return {"uid": uid, "handle": handle, "name": handle.title(), "alias": None, "notify": False, "presence": presence}


Script = Callable[[web.Request], web.Response]


class Peer:
    """Global Server and home in one, with the users ann (1) and bob (2)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.headers: list[Any] = []
        self.users = {"ann": 1, "bob": 2}
        self.profiles: dict[str, dict[str, str]] = defaultdict(dict)
        self.contacts: dict[int, dict[str, Any]] = {}
        self.framing = "multipart/x-mixed-replace; boundary=flash"
        self.feed: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        self.polled: Callable[[web.Request, Any], Awaitable[web.StreamResponse]] | None = None
        self.lines: asyncio.Queue[BackConnection] = asyncio.Queue()
        self._open: list[BackConnection] = []
        self._scripts: defaultdict[str, deque[Script]] = defaultdict(deque)
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for line in self._open:
            line.end()
        await self._runner.cleanup()

    async def line(self) -> BackConnection:
        """The next back connection that a client opens."""
        return await asyncio.wait_for(self.lines.get(), 10)

    def answer(self, path: str, status: int, headers: dict[str, str] | None = None, **problem: Any) -> None:
        """Refuse the next call of this path."""
        body = json.dumps({"status": status, **problem})
        made = {"content_type": "application/problem+json", "headers": headers}
        self._scripts[path].append(lambda request: web.Response(status=status, text=body, **made))  # type: ignore[arg-type]

    def say(self, path: str, response: Callable[[], web.Response]) -> None:
        """Answer the next call of this path with something else altogether."""
        self._scripts[path].append(lambda request: response())

    def lose_answer(self, path: str) -> None:
        """Take the next call of this path, and cut the connection instead of answering."""
        self._scripts[path].append(_cut)

    def bodies(self, path: str) -> list[Any]:
        """What was sent to a path so far, in order."""
        return [body for _, called, body in self.calls if called == path]

    async def acked(self, upto: int) -> None:
        """Return when the client has acknowledged exactly this number."""
        await eventually(lambda: upto in [body["upto"] for body in self.bodies("/v1/acks")])

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        self.calls.append((request.method, request.path, body))
        self.headers.append(request.headers)
        if self._scripts[request.path]:
            return self._scripts[request.path].popleft()(request)
        if request.path == "/v1/back-connection":
            return await self._stream(request, body)
        if request.path.startswith("/v1/presence") and self.feed is not None:
            return await self.feed(request)
        if request.path == "/v1/parts" and self.polled is not None:
            return await self.polled(request, body)
        return self._plain(request, body)

    async def _stream(self, request: web.Request, body: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": self.framing, "Cache-Control": "no-store, no-transform"})
        await response.prepare(request)
        line = BackConnection(request, response, body)
        self._open.append(line)
        self.lines.put_nowait(line)
        await line.over.wait()
        return response

    def _plain(self, request: web.Request, body: Any) -> web.Response:
        method, path = request.method, request.path
        if path in ("/v1/users", "/v1/tokens") and method == "POST":
            uid = self.users.setdefault(body["handle"], len(self.users) + 1)
            self.profiles[body["handle"]] = body.get("profile") or self.profiles[body["handle"]]
            return web.json_response(self.grant(uid, body["handle"]), status=201 if path == "/v1/users" else 200)
        if path == "/v1/users":
            return web.json_response({"users": [self.user(handle) for handle in self.users], "next": None})
        if path.startswith("/v1/users/by-handle/") and path.rsplit("/", 1)[1].lower() in self.users:
            return web.json_response(self.user(path.rsplit("/", 1)[1].lower()))
        if path == "/v1/contacts":
            return web.json_response({"contacts": list(self.contacts.values())})
        if path.startswith("/v1/contacts/") and method == "PUT":
            uid = int(path.rsplit("/", 1)[1])
            handle = next(handle for handle, known in self.users.items() if known == uid)
            self.contacts[uid] = contact(uid, handle) | body
            return web.json_response(self.contacts[uid], status=201)
        if path == "/v1/messages":
            return web.json_response({"id": body["id"], "accepted_at": AT}, status=202)
        if path.startswith("/v1/users/"):
            return web.json_response({"code": "unknown_user", "detail": "There is no such user."}, status=404)
        return web.Response(status=204)

    def grant(self, uid: int, handle: str) -> dict[str, Any]:
        """A *grant* of the protocol, for this very server."""
        home = {"name": "h1", "url": self.url}
        return {"uid": uid, "handle": handle, "home": home, "token": f"token-of-{handle}", "expires_at": AT}

    def user(self, handle: str) -> dict[str, Any]:
        """A *user* of the protocol."""
        return {"uid": self.users[handle], "handle": handle, "home": {"name": "h1", "url": self.url}, "profile": self.profiles[handle]}


def _cut(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
