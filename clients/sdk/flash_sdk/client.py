"""`FlashClient`: everything a program can ask of Flash. Rule: one method per call of the protocol, nothing decided twice.

    async with FlashClient("http://127.0.0.1:8080") as flash:
        await flash.login("ann", password)
        await flash.send(42, "pop over?")
        async for event in flash.listen():
            ...

When an answer is lost, calls that change nothing the second time are repeated, and sending is one of them. The caller repeats the others.
"""

import uuid
from collections.abc import AsyncGenerator, Callable, Collection
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlencode

from aiohttp import ClientResponse

from flash_sdk import json_fields as fields
from flash_sdk.acks import Acker
from flash_sdk.backoff import Pace
from flash_sdk.direct_port import DirectPort
from flash_sdk.errors import ProtocolError, TryLater, Unreachable
from flash_sdk.events import Transport
from flash_sdk.feed import FeedItem
from flash_sdk.listener import Listener
from flash_sdk.mailbox import Mailbox
from flash_sdk.ops import Ops
from flash_sdk.peer_routes import DirectTimeouts, PeerRoutes
from flash_sdk.people import Accepted, Contact, Grant, User
from flash_sdk.polling import PollLine
from flash_sdk.presence_follower import Follower, Renew
from flash_sdk.requests import VERSION, Http, retrying
from flash_sdk.seen import SeenStore
from flash_sdk.stream import MULTIPART, SSE, Line, PartStream
from flash_sdk.transport_ladder import Network, TransportTimeouts
from flash_sdk.transport_selector import TransportSelector, network_now
from flash_sdk.urls import base_url, segment

REQUEST_TIMEOUT_S = 30.0  # longer than any answer of a healthy server
Framing = Literal["auto"] | Transport  # how parts travel
SEND_DEADLINE_S = 30.0  # how long a person watches "sending…" before they want an answer


class FlashClient:
    """One user's view of Flash. Use as an async context manager, from one event loop.

    Every method may raise `Refused` (the server said no), `Unreachable` (no answer) and `ProtocolError` (not Flash's protocol).
    """

    def __init__(
        self,
        server_url: str,
        *,
        client: str = f"flash-sdk/{VERSION}",
        timeout_s: float = REQUEST_TIMEOUT_S,
        pace: Pace | None = None,
        patience: TransportTimeouts | None = None,
        direct_timeouts: DirectTimeouts | None = None,
        network: Callable[[], Network] = network_now,
    ) -> None:
        """`server_url`: the Global Server. `client`: the name of this program. `patience`: how long to wait for a transport that is held
        back. `direct_timeouts`: how long direct delivery may take. `network`: our own addresses. Raises `ValueError` for a URL that is not
        one of HTTP."""
        self._server_url = base_url(server_url)
        self._client = client
        self._timeout_s = timeout_s
        self._pace = pace or Pace()
        self._patience = patience or TransportTimeouts()
        self._direct_timeouts = direct_timeouts or DirectTimeouts()
        self._network = network
        self._opened: Http | None = None
        self._grant: Grant | None = None
        self._listener: Listener | None = None
        self.ops = Ops(self._global)
        self.peer_routes = PeerRoutes(lambda uid: self._home("POST", "/v1/tickets", {"to": uid}), self._direct_timeouts)

    async def __aenter__(self) -> Self:
        self._opened = Http(timeout_s=self._timeout_s)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self._listener is not None:
                await self._listener.aclose()
        finally:
            http, self._opened = self._opened, None
            if http is not None:
                await http.close()

    @property
    def grant(self) -> Grant:
        """The user for whom we act. Raises `RuntimeError` before `register`, `login` or `use`."""
        if self._grant is None:
            raise RuntimeError("register, login or use a grant first")
        return self._grant

    # --- the Global Server ---

    async def register(self, handle: str, password: str, profile: dict[str, str] | None = None) -> Grant:
        """Become a user, and act as that user. `profile`: see `PROFILE_FIELDS`. Refused: `handle_taken`, `invalid`, `too_many_requests`."""
        body = {"handle": handle, "password": password, "profile": profile or {}, "separate_tokens": True}
        return self.use(Grant.of(await self._http.call("POST", f"{self._server_url}/v1/users", body=body)))

    async def login(self, handle: str, password: str) -> Grant:
        """Get a fresh grant and act as that user. Refused: `bad_credentials`."""
        body = {"handle": handle, "password": password, "separate_tokens": True}
        return self.use(Grant.of(await self._http.call("POST", f"{self._server_url}/v1/tokens", body=body)))

    def use(self, grant: Grant) -> Grant:
        """Act with a grant that was kept from an earlier login."""
        self._grant = grant
        return grant

    async def search(self, q: str = "", *, limit: int | None = None, **profile: str) -> AsyncGenerator[User, None]:
        """Every user that matches, page after page. `q`: words in any field; `profile`: words in one field; `limit`: users a page."""
        wanted: dict[str, str] = ({"q": q} if q else {}) | ({"limit": str(limit)} if limit else {}) | profile
        cursor: str | None = None
        while True:
            query = urlencode(wanted | ({"cursor": cursor} if cursor is not None else {}))
            page = await self._global("GET", f"/v1/users?{query}")
            users = fields.sections(page, "users")
            for user in users:
                yield User.of(user)
            before, cursor = cursor, fields.optional_text(page, "next")
            if cursor is None:
                return
            if cursor == before or not users:
                raise ProtocolError("the search goes on without end")

    async def user(self, uid: int) -> User:
        """One user. Refused: `unknown_user`."""
        return User.of(await self._global("GET", f"/v1/users/{uid}"))

    async def by_handle(self, handle: str) -> User:
        """One user by login name. Refused: `unknown_user`."""
        return User.of(await self._global("GET", f"/v1/users/by-handle/{segment(handle)}"))

    async def change_profile(self, **profile: str) -> User:
        """Change these fields of my profile. Refused: `invalid`."""
        return User.of(await self._global("PATCH", "/v1/users/me", {"profile": profile}))

    async def erase_me(self, password: str) -> None:
        """Close my account for good. What I wrote is unreadable from then on. Refused: `bad_credentials`."""
        await self._global("POST", "/v1/users/me/erase", {"password": password})

    async def erase(self, uid: int) -> None:
        """Close somebody's account for good, with the role `ops`. Refused: `forbidden`, `unknown_user`."""
        await self._global("POST", f"/v1/users/{uid}/erase")

    def presence(
        self, *, uids: Collection[int] | None = None, after: str | None = None, renew: Renew | None = None
    ) -> AsyncGenerator[FeedItem, None]:
        """For integrators: a `Snapshot` of everybody who was granted, or of `uids`, then each change once and in order, over any number of
        connections. `after`: a cursor from which to go on instead of the snapshot. `renew`: awaited when the token has expired, in order to
        `login` again. Refused: `not_an_integrator`, `not_granted`."""

        async def get(path: str) -> dict[str, Any]:
            return await self._global("GET", path)

        async def open_stream(path: str) -> ClientResponse:
            url, token = self._server_url + path, self.grant.global_token
            return await self._http.stream(url, token=token, accept=SSE, timeout_s=self._timeout_s, method="GET")

        return Follower(get, open_stream, self._pace, uids, after, renew).items()

    # --- my Home Server ---

    async def contacts(self) -> list[Contact]:
        """My contact list."""
        return [Contact.of(contact) for contact in fields.sections(await self._home("GET", "/v1/contacts"), "contacts")]

    async def add_contact(self, uid: int, alias: str | None = None, notify: bool = False) -> Contact:
        """Put someone on my list, or change their alias and whether to notify me. Refused: `unknown_user`, `invalid`."""
        return Contact.of(await self._home("PUT", f"/v1/contacts/{uid}", {"alias": alias, "notify": notify}))

    async def remove_contact(self, uid: int) -> None:
        """Take someone off my list."""
        await self._home("DELETE", f"/v1/contacts/{uid}")

    async def send(
        self,
        to_uid: int,
        text: str,
        *,
        id: str | None = None,
        in_reply_to: str | None = None,
        urgent: bool = False,
        direct: bool = False,
        deadline_s: float = SEND_DEADLINE_S,
    ) -> Accepted:
        """Send a popup; on return the home has it on disk. After a lost answer or "later" it is sent again under the same id until the
        deadline, so it is never doubled. Then raises the last error, with the id in `extra["id"]`. `direct`: send it directly, too, if the
        recipient listens in our own network, because that is quicker. Refused: `not_a_contact`, `too_large`, …"""
        if in_reply_to is not None and self._listener is not None:
            await self._listener.home_has_copy(in_reply_to)  # otherwise the home would not know the message that this answers
        message_id = id or str(uuid.uuid4())
        body = {"id": message_id, "to": to_uid, "text": text, "in_reply_to": in_reply_to, "urgent": urgent}
        route = await self.peer_routes.to(to_uid, self.grant.home.url) if direct else None
        body |= {} if route is None else {"ticket": route.ticket}
        try:
            answer = await self._retrying("POST", "/v1/messages", body, deadline_s)
        except (Unreachable, TryLater) as error:
            error.extra["id"] = message_id
            raise
        taken = route is not None and await self.peer_routes.send(to_uid, route, body, answer)
        return Accepted.of(answer, direct=taken)

    async def done(self, id: str) -> None:
        """I have read and closed this message. `Unreachable` while the home lacks its copy of a direct one. Refused: `unknown_message`."""
        if self._listener is not None and not await self._listener.home_has_copy(id):
            raise Unreachable("this popup came directly, and your home does not have its copy yet")
        await self._retrying("POST", f"/v1/messages/{segment(id)}/done", None, SEND_DEADLINE_S)

    async def set_status(self, status: Literal["online", "away", "dnd"], note: str = "", until: datetime | None = None) -> None:
        """Set my own status, perhaps only until some moment (aware datetime). Refused: `invalid`."""
        moment = until.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z") if until else None
        await self._home("PUT", "/v1/status", {"status": status, "note": note, "until": moment})

    def listen(
        self,
        *,
        seen: SeenStore | None = None,
        framing: Framing = "auto",
        blanks: bool = False,
        peek: bool = False,
        direct: bool | DirectPort = False,
    ) -> Listener:
        """Log in and receive: an async iterator of `flash_sdk.events`, over any number of back connections, each message once.

        `seen`: a store that outlives this process (`FileSeen`), so that a client that was killed shows nothing twice. `framing`: `auto` for
        the best transport that the network lets through (`Connected.transport` says which), or always this one. `blanks`: give `Blank`
        events too. `peek`: acknowledge nothing, so that another client gets everything as well. `direct`: let the home call a port of ours,
        if it can (`Direct` says so); True makes that port.
        Raises `RuntimeError` when already listening.
        """
        if self._listener is not None and not self._listener.over:
            raise RuntimeError("already listening")
        grant = self.grant
        home = base_url(grant.home.url)

        async def open_line(transport: Transport, welcome_s: float, hello: dict[str, Any], acker: Acker) -> Line:
            if transport == "poll":
                return PollLine(ask, hello, acker, self._pace)
            accept = SSE if transport == "sse" else MULTIPART
            url = f"{home}/v1/back-connection"
            response = await self._http.stream(url, token=grant.token, body=hello, accept=accept, timeout_s=welcome_s)
            try:
                return PartStream(response, welcome_s)
            except ProtocolError:
                response.close()
                raise

        async def ask(body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
            return await self._http.call("POST", f"{home}/v1/parts", token=grant.token, body=body, timeout_s=timeout_s)

        async def post_ack(session: str, upto: int) -> None:
            await self._home("POST", "/v1/acks", {"session": session, "upto": upto})

        async def log_off(session: str) -> None:
            await self._home("POST", "/v1/logoff", {"session": session})

        self._listener = Listener(
            open_line,
            post_ack,
            log_off,
            Mailbox(seen, peek=peek),
            TransportSelector(home, self._patience, only=None if framing == "auto" else framing, network=self._network),
            self._pace,
            self._client,
            blanks=blanks,
            direct=DirectPort(home, grant.token, self._direct_timeouts) if direct is True else direct or None,
            home_copy_s=self._direct_timeouts.home_copy_s,
        )
        return self._listener

    async def logoff(self) -> None:
        """End the session of the present listener. Contacters see it at once, and the listener ends with its goodbye."""
        if self._listener is not None and self._listener.session is not None:
            await self._listener.leave()
            await self._home("POST", "/v1/logoff", {"session": self._listener.session})

    # --- requests ---

    @property
    def _http(self) -> Http:
        if self._opened is None:
            raise RuntimeError("use FlashClient as an async context manager")
        return self._opened

    async def _global(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return await self._http.call(method, self._server_url + path, token=self.grant.global_token, body=body)

    async def _home(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return await self._http.call(method, base_url(self.grant.home.url) + path, token=self.grant.token, body=body)

    async def _retrying(self, method: str, path: str, body: object, deadline_s: float) -> dict[str, Any]:
        return await retrying(lambda: self._home(method, path, body), self._pace, deadline_s)
