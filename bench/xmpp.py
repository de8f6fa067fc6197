"""A line on an XMPP server: one sender and one recipient, both online, with receipts to the sender (XEP-0184).

Rule: every message is checked: it must be shown once, in order, and receipted. An XMPP server does not say that it accepted a message, so
the receipt counts for that, too.
"""

import asyncio
import base64
import re
from collections.abc import Callable
from time import perf_counter
from typing import cast

from bench.lines import NUMBER, TEXTS
from bench.load import AnyLine
from bench.prosody import HOST, PASSWORD, Prosody

ID = re.compile(rb"id='(\d{5})(\d{7})'")
END = b"</message>"
OPENING = f"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{HOST}' version='1.0'>".encode()
BIND = b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>bench</resource></bind></iq>"
PRESENCE = b"<presence/>"
RECEIPTS = "urn:xmpp:receipts"
LOGIN_TIMEOUT_S = 30.0


class XmppStream(asyncio.Protocol):
    """A client that has logged in. `on_message` is called for each whole message."""

    def __init__(self, on_message: Callable[[bytes], None]) -> None:
        self._on_message = on_message
        self._rest = b""
        self._awaited = b""
        self._found: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def log_in(cls, port: int, number: int, on_message: Callable[[bytes], None]) -> "XmppStream":
        """User `number`, available."""
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: cls(on_message), "127.0.0.1", port)
        secret = base64.b64encode(f"\0user{number}\0{PASSWORD}".encode())
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            await stream._say(OPENING, b"</stream:features>")
            await stream._say(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + secret + b"</auth>", b"<success")
            await stream._say(OPENING, b"</stream:features>")
            await stream._say(BIND, b"</iq>")
            await stream._say(PRESENCE, b"<presence")  # the server sends a client its own presence
        return stream

    async def _say(self, what: bytes, until: bytes) -> None:
        self._awaited, self._found = until, asyncio.get_running_loop().create_future()
        self.write(what)
        await self._found

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Close the connection without logging off."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take some stanzas, perhaps with a piece of one at either end."""
        data = self._rest + data
        if self._awaited:
            if self._awaited in data:
                self._awaited, data = b"", b""
                self._found.set_result(None)
            self._rest = data
            return
        *whole, self._rest = data.split(END)
        for message in whole:
            self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end."""
        self._transport = None
        if not self._found.done():
            self._found.set_exception(ConnectionError("the server closed the connection"))


class XmppLine(AnyLine):
    """A pair of users of an XMPP server."""

    async def open(self, prosody: Prosody) -> None:
        """Log both in: user n of the first half of all users, and user n of the second half."""
        half = prosody.users // 2
        self._sender = await XmppStream.log_in(prosody.port, self.number, self._to_sender)
        self._recipient = await XmppStream.log_in(prosody.port, half + self.number, self._to_recipient)
        self._messages = [
            (
                f"<message to='user{half + self.number}@{HOST}' type='chat' id='{self.number:05}%0{NUMBER}d'>"
                f"<body>{text}</body><request xmlns='{RECEIPTS}'/></message>"
            ).encode()
            for text in TEXTS
        ]
        self._receipt = (
            f"<message to='user{self.number}@{HOST}/bench'><received xmlns='{RECEIPTS}' id='{self.number:05}%0{NUMBER}d'/></message>"
        ).encode()

    def send(self) -> None:
        """Send the next message."""
        self.sent += 1
        self._sender.write(self._messages[(self.number + self.sent) % len(TEXTS)] % self.sent)

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()
        self._recipient.close()

    def _to_recipient(self, message: bytes) -> None:
        if self._counts(message, self.shown):
            self.shown += 1
            self.shown_at = perf_counter()
            self._recipient.write(self._receipt % self.shown)

    def _to_sender(self, message: bytes) -> None:
        if self._counts(message, self.receipted):
            self.receipted += 1
            self.accepted += 1
            self.on_popup(self, self.receipted, self.shown_at)
            self.on_accepted(self)

    def _counts(self, message: bytes, before: int) -> bool:
        found = ID.search(message)
        if found is not None and int(found[1]) == self.number and int(found[2]) == before + 1 <= self.sent:
            return True
        self.faults.append(f"line {self.number} got {message[-200:]!r} after message {before}")
        return False
