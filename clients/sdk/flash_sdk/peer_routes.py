"""Popups sent directly from one client to another in the same network. Rule: nothing is shown that the sender's home has not stamped.

    sender     FLASH/1 popup <from> <to> <expires_at> <nonce> <HMAC(key, "popup" nonce)> <length>\\n
    recipient  <HMAC(key, "here" nonce)>\\n, or hangs up
    sender     as many bytes of JSON as said: {"to","expires_at","stamp","message"}
    recipient  taken\\n, or hangs up

The key is the ticket's. A caller without the key hears no text. The home sends its own copy in any case, so a recipient who is in
doubt drops what came directly.
"""

import asyncio
import hmac
import json
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from yarl import URL

from flash_sdk import json_fields as fields
from flash_sdk.errors import FlashClientError, ProtocolError
from flash_sdk.events import Message
from flash_sdk.json_fields import Json
from flash_sdk.proxies import Proxies

MAX_POPUP_BYTES = 65_536  # as a request to a home: 4,096 characters of text, escaped, are 48 KiB
MAX_ROUTES = 1_000  # recipients that are remembered, with or without a route
MAX_SKEW_S = 120.0  # homes give 60 s: a ticket that is good for longer comes from a clock that differs from ours
CHECK_AGAIN_S = 0.05  # the home's copy of a popup that came directly takes milliseconds
BOUNCED_BY = timedelta(minutes=10)  # a message that the home has not sent by then has most likely bounced
TAKEN = b"taken\n"

Ask = Callable[[int], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class DirectTimeouts:
    """How long each step of direct delivery may take, in seconds."""

    offer_s: float = 10.0  # the home tries to call for 2 s, and its answer may have a long way
    greeting_s: float = 3.0  # for the first line of a caller: the home itself waits for 2 s
    ticket_s: float = 0.5  # for a ticket: a popup must not wait longer, whatever has become of the recipient's home
    hand_over_s: float = 1.0  # a client in the same network answers in milliseconds, and the home's copy is on its way as well
    keep_route_s: float = 50.0  # a ticket is good for 60 s, and our clock need not be the home's
    no_route_s: float = 30.0  # before asking again for a recipient without a route: until then popups go through the home
    home_copy_s: float = 2.0  # for the home's copy of a popup that came directly: longer means that the broker is away


@dataclass(frozen=True, slots=True)
class PeerRoute:
    """Where a recipient listens, and the ticket with which they let us in."""

    address: str
    port: int
    ticket: str
    expires_at: str
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, source: Json) -> "PeerRoute":
        """Read the answer to `POST /v1/tickets`. Raises `ProtocolError`."""
        address, ticket, expires_at, key = (fields.text(source, name) for name in ("address", "ticket", "expires_at", "key"))
        try:
            ip = ip_address(address)  # never a name, which somebody else could point elsewhere
            route = cls(address, fields.integer(source, "port"), ticket, expires_at, bytes.fromhex(key))
        except ValueError as error:
            raise ProtocolError("the ticket cannot be read") from error
        if ip.is_multicast or ip.is_unspecified or not 1024 <= route.port <= 65_535:
            raise ProtocolError("the ticket names an address at which no client can listen")
        return route

    def greeting(self, sender: int, to: int, nonce: str, length: int) -> bytes:
        """The sender's first line."""
        return f"FLASH/1 popup {sender} {to} {self.expires_at} {nonce} {_proof(self.key, 'popup', nonce)} {length}\n".encode()


class PeerRoutes:
    """The routes to recipients that one sender knows."""

    def __init__(self, ask: Ask, timeouts: DirectTimeouts | None = None) -> None:
        """`ask`: `POST /v1/tickets` for a uid."""
        self._ask = ask
        self._timeouts = timeouts or DirectTimeouts()
        self._known: dict[int, tuple[float, PeerRoute | None]] = {}  # uid -> until when it counts, and the route

    async def to(self, uid: int, home: str) -> PeerRoute | None:
        """The route to a recipient, for a sender at the `home` with this URL; None when there is none, whatever the reason."""
        now = asyncio.get_running_loop().time()
        until, route = self._known.get(uid, (0.0, None))
        if until > now:
            return route
        try:
            _check_home_allows_direct(home)
            async with asyncio.timeout(self._timeouts.ticket_s):
                route = PeerRoute.of(await self._ask(uid))
        except (FlashClientError, TimeoutError):
            route = None
        self.remember(uid, route)
        return route

    async def send(self, to: int, route: PeerRoute, body: dict[str, Any], answer: dict[str, Any]) -> bool:
        """Hand a message that the home has accepted to its recipient, and say whether they took it. Never raises, because the home's copy
        is on its way as well. `body`: of the request that sent the message; `answer`: the home's answer."""
        if "stamp" not in answer:
            self.remember(to, None)
            return False
        message = {name: body[name] for name in ("id", "text", "in_reply_to", "urgent")}
        message |= {"from": answer.get("from"), "sent_at": answer.get("accepted_at")}
        said = {"to": to, "expires_at": route.expires_at, "stamp": answer["stamp"], "message": message}
        try:
            sender = fields.integer(fields.section(answer, "from"), "uid")
            async with asyncio.timeout(self._timeouts.hand_over_s):
                taken = await hand_over(route, sender, to, json.dumps(said).encode())
        except (OSError, asyncio.IncompleteReadError, ProtocolError):  # a timeout is an OSError
            taken = False
        if not taken:
            self.remember(to, None)
        return taken

    def forget(self, uid: int) -> None:
        """Ask for a new ticket next time."""
        self._known.pop(uid, None)

    def remember(self, uid: int, route: PeerRoute | None) -> None:
        """Use this route from now on, or none, until it is time to ask for a new ticket."""
        self.forget(uid)
        lasts_s = self._timeouts.keep_route_s if route is not None else self._timeouts.no_route_s
        self._known[uid] = (asyncio.get_running_loop().time() + lasts_s, route)
        if len(self._known) > MAX_ROUTES:
            del self._known[next(iter(self._known))]


async def hand_over(route: PeerRoute, sender: int, to: int, data: bytes) -> bool:
    """Connect to a recipient and say the stamped message in `data`; whether they took it. Raises `OSError`, `IncompleteReadError`."""
    nonce = secrets.token_hex(16)
    reader, writer = await asyncio.open_connection(route.address, route.port, flags=socket.AI_NUMERICHOST)
    try:
        writer.write(route.greeting(sender, to, nonce, len(data)))
        here = f"{_proof(route.key, 'here', nonce)}\n".encode()
        if not hmac.compare_digest(await reader.readexactly(len(here)), here):
            return False  # somebody else has that address
        writer.write(data)
        return await reader.readexactly(len(TAKEN)) == TAKEN
    finally:
        writer.close()


def _check_home_allows_direct(home: str) -> None:
    """Raise `ProtocolError` when texts to this home travel in TLS or through a proxy: they must not leave either for a shorter way."""
    url = URL(home)
    if url.scheme == "https" or Proxies().for_url(url) is not None:
        raise ProtocolError("no direct way from here")


async def home_has_copy(id: str, without_copy: Mapping[str, datetime], timeout_s: float) -> bool:
    """Whether the home has its copy of a message. Waits for one that is in `without_copy` (id → when it was sent)."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while id in without_copy and datetime.now(UTC) - without_copy[id] <= BOUNCED_BY:
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(min(CHECK_AGAIN_S, timeout_s))
    return True


def ticket_key(route_key: bytes, sender: int, to: int, expires_at: str) -> bytes:
    """The key of a ticket, derived from the key of our own proven offer."""
    return hmac.digest(route_key, f"ticket|{sender}|{to}|{expires_at}".encode(), "sha256")


def answer_to_ticket(words: list[bytes], route_key: bytes, now: datetime) -> bytes | None:
    """The answer to a caller who holds a ticket of ours, by the words after `FLASH/1 popup`; None when the caller holds none."""
    try:
        sender, to, expires_at, nonce, proof, length = (word.decode("ascii") for word in words)
        uids, size = (int(sender), int(to)), int(length)
        left_s = (fields.moment({"at": expires_at}, "at") - now.astimezone(UTC)).total_seconds()
    except (ValueError, ProtocolError):
        return None
    key = hmac.digest(ticket_key(route_key, *uids, expires_at), b"door", "sha256")
    right = hmac.compare_digest(_proof(key, "popup", nonce), proof) and 0 < left_s <= MAX_SKEW_S and 0 < size <= MAX_POPUP_BYTES
    return f"{_proof(key, 'here', nonce)}\n".encode() if right else None


def _proof(key: bytes, word: str, nonce: str) -> str:
    return hmac.digest(key, f"{word}{nonce}".encode(), "sha256").hex()


def stamp_of(key: bytes, message: Message, sent_at: str) -> str:
    """The stamp that the sender's home gives to exactly this message."""
    sender, urgent = message.sender, "urgent" if message.urgent else ""
    said = (message.id, sender.handle, sender.name, message.text, message.in_reply_to or "", urgent, sent_at)
    digests = b"".join(sha256(text.encode("utf-8", "surrogatepass")).digest() for text in said)
    return hmac.digest(key, b"stamp" + digests, "sha256").hex()


def stamped_message(data: bytes, route_key: bytes, now: datetime) -> Message | None:
    """The message in the JSON of a caller; None unless a home has stamped it for the holder of `route_key`, and not too long ago."""
    try:
        said = fields.parse_object(data)
        to, expires_at, stamp = fields.integer(said, "to"), fields.text(said, "expires_at"), fields.text(said, "stamp")
        left_s = (fields.moment(said, "expires_at") - now.astimezone(UTC)).total_seconds()
        body = fields.section(said, "message")
        message = Message.of(body, seq=0)
        right = stamp_of(ticket_key(route_key, message.sender.uid, to, expires_at), message, fields.text(body, "sent_at"))
        good = hmac.compare_digest(right.encode(), stamp.encode())
    except (ProtocolError, UnicodeEncodeError):
        return None
    return message if good and 0 < left_s <= MAX_SKEW_S else None
