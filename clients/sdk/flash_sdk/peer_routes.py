"""Popups straight from one client to another in the same network. Rule: nothing is shown that the sender's home has not stamped.

    sender     FLASH/1 popup <from> <to> <expires_at> <nonce> <HMAC(key, "popup" nonce)> <length>\\n        the ticket's key: who has
    recipient  <HMAC(key, "here" nonce)>\\n, or hangs up                                                  none hears no text
    sender     so many bytes of JSON: {"to","expires_at","stamp","message"}
    recipient  taken\\n, or hangs up

The home's own copy comes in any case, so whoever is in doubt drops what came straight.
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
STRAIGHT_S = 1.0  # a neighbour answers in milliseconds; whoever takes longer gets the home's copy sooner
HELD_S = 50.0  # a ticket is good for 60 s, and our clock need not be the home's
NO_ROUTE_S = 30.0  # before asking again for one who has none: half a minute by the home harms nobody
MAX_HELD = 1_000  # recipients remembered, with or without a way
ASK_S = 0.5  # for a ticket: a popup never waits longer for its short way, whatever has become of the recipient's home
MAX_SKEW_S = 120.0  # homes give 60 s: what is good for longer was not given by one whose clock is ours
HOME_TRIES, HOME_TRY_S = 40, 0.05  # 2 s for the home's copy of what is here already: it takes milliseconds, or the broker is away
NEVER = timedelta(minutes=10)  # what the home has not sent by then has most likely bounced
TAKEN = b"taken\n"

Ask = Callable[[int], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Way:
    """Where a recipient listens, and what lets us in."""

    address: str
    port: int
    ticket: str
    expires_at: str
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, source: Json) -> "Way":
        """Read the answer to `POST /v1/tickets`. Raises `ProtocolError`."""
        address, ticket, expires_at, key = (fields.text(source, name) for name in ("address", "ticket", "expires_at", "key"))
        try:
            ip = ip_address(address)  # never a name, which somebody else could point elsewhere
            way = cls(address, fields.integer(source, "port"), ticket, expires_at, bytes.fromhex(key))
        except ValueError as error:
            raise ProtocolError("a ticket that cannot be read") from error
        if ip.is_multicast or ip.is_unspecified or not 1024 <= way.port <= 65_535:
            raise ProtocolError("a ticket to nobody")
        return way

    def call(self, sender: int, to: int, nonce: str, length: int) -> bytes:
        """What to say first."""
        return f"FLASH/1 popup {sender} {to} {self.expires_at} {nonce} {_proof(self.key, 'popup', nonce)} {length}\n".encode()


class Ways:
    """The ways to recipients that one sender knows."""

    def __init__(self, ask: Ask) -> None:
        """`ask`: `POST /v1/tickets` for a uid."""
        self._ask = ask
        self._known: dict[int, tuple[float, Way | None]] = {}  # uid -> until when, and the way

    async def to(self, uid: int, home: str) -> Way | None:
        """The way to a recipient, from a sender at the `home` with this URL; None when there is none, for whatever reason."""
        now = asyncio.get_running_loop().time()
        until, way = self._known.get(uid, (0.0, None))
        if until > now:
            return way
        try:
            _must_be_in_the_open(home)
            async with asyncio.timeout(ASK_S):
                way = Way.of(await self._ask(uid))
        except (FlashClientError, TimeoutError):
            way = None
        self._remember(uid, way)
        return way

    async def send(self, to: int, way: Way, body: dict[str, Any], answer: dict[str, Any]) -> bool:
        """Hand a message that the home has accepted to its recipient; whether it was taken. Does not raise: the home's copy comes too.

        `body`: of the send; `answer`: the home's."""
        if "stamp" not in answer:
            self._remember(to, None)
            return False
        message = {name: body[name] for name in ("id", "text", "in_reply_to", "urgent")}
        message |= {"from": answer.get("from"), "sent_at": answer.get("accepted_at")}
        said = {"to": to, "expires_at": way.expires_at, "stamp": answer["stamp"], "message": message}
        try:
            sender = fields.integer(fields.section(answer, "from"), "uid")
            async with asyncio.timeout(STRAIGHT_S):
                taken = await _hand_over(way, sender, to, json.dumps(said).encode())
        except (OSError, asyncio.IncompleteReadError, ProtocolError):  # a timeout is an OSError
            taken = False
        if not taken:
            self._remember(to, None)
        return taken

    def _remember(self, uid: int, way: Way | None) -> None:
        self._known.pop(uid, None)
        self._known[uid] = (asyncio.get_running_loop().time() + (HELD_S if way is not None else NO_ROUTE_S), way)
        if len(self._known) > MAX_HELD:
            del self._known[next(iter(self._known))]


async def _hand_over(way: Way, sender: int, to: int, data: bytes) -> bool:
    nonce = secrets.token_hex(16)
    reader, writer = await asyncio.open_connection(way.address, way.port, flags=socket.AI_NUMERICHOST)
    try:
        writer.write(way.call(sender, to, nonce, len(data)))
        here = f"{_proof(way.key, 'here', nonce)}\n".encode()
        if not hmac.compare_digest(await reader.readexactly(len(here)), here):
            return False  # somebody else is at that address by now, or was always
        writer.write(data)
        return await reader.readexactly(len(TAKEN)) == TAKEN
    finally:
        writer.close()


def _must_be_in_the_open(home: str) -> None:
    """Raise `ProtocolError` when texts to a home are protected or led: they leave neither TLS nor a proxy for a shorter way."""
    url = URL(home)
    if url.scheme == "https" or Proxies().for_url(url) is not None:
        raise ProtocolError("no direct way from here")


async def home_has(id: str, ahead: Mapping[str, datetime]) -> bool:
    """Whether the home has its copy of a message; waits a little for one that is `ahead` of it (id → when it was sent)."""
    for _ in range(HOME_TRIES):
        if id not in ahead or datetime.now(UTC) - ahead[id] > NEVER:
            return True
        await asyncio.sleep(HOME_TRY_S)
    return False


def ticket_key(route_key: bytes, sender: int, to: int, expires_at: str) -> bytes:
    """The key of a ticket, from the key of our own proven offer."""
    return hmac.digest(route_key, f"ticket|{sender}|{to}|{expires_at}".encode(), "sha256")


def let_in(words: list[bytes], route_key: bytes, now: datetime) -> bytes | None:
    """What to answer to who holds a ticket of ours, given what they said after `FLASH/1 popup`; None: hang up."""
    try:
        sender, to, expires_at, nonce, proof, length = (word.decode("ascii") for word in words)
        uids, size = (int(sender), int(to)), int(length)
        left_s = (fields.moment({"at": expires_at}, "at") - now.astimezone(UTC)).total_seconds()
    except (ValueError, ProtocolError):
        return None
    key = hmac.digest(ticket_key(route_key, *uids, expires_at), b"door", "sha256")
    right = hmac.compare_digest(_proof(key, "popup", nonce), proof) and 0 < left_s <= MAX_SKEW_S and 0 < size <= MAX_POPUP_BYTES
    return f"{_proof(key, 'here', nonce)}\n".encode() if right else None


def _proof(key: bytes, who: str, nonce: str) -> str:
    return hmac.digest(key, f"{who}{nonce}".encode(), "sha256").hex()


def stamp_of(key: bytes, message: Message, sent_at: str) -> str:
    """What the sender's home says of this very message."""
    sender, urgent = message.sender, "urgent" if message.urgent else ""
    said = (message.id, sender.handle, sender.name, message.text, message.in_reply_to or "", urgent, sent_at)
    digests = b"".join(sha256(text.encode("utf-8", "surrogatepass")).digest() for text in said)
    return hmac.digest(key, b"stamp" + digests, "sha256").hex()


def stamped(data: bytes, route_key: bytes, now: datetime) -> Message | None:
    """The message in what a stranger says; None unless a home has stamped it for the holder of `route_key`, and in time."""
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
