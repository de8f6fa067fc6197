"""A connection from a home to a client that offered to be called. Rule: it goes only to the peer of an established connection, and
nothing is said on it before the client has proven the key that came over that connection.

    home    FLASH/1 home <nonce> <HMAC(key, "home" nonce)>\\n      the home knows the key too: the client lets nobody else in
    client  <HMAC(key, "probe" nonce)>\\n
    home    --flash, then parts as on the back connection
    client  the number of parts taken so far, 8 bytes big-endian, as often as it likes
"""

import asyncio
import hmac
import secrets
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Protocol, cast

from edge.http.client_address import Network
from edge.transports.back_connection import HIGH_WATER_BYTES
from servers.security.addresses import IP, ip_of

ANSWER_BYTES = 65  # 64 hexadecimal digits and a line end
COUNT_BYTES = 8
# What stands behind NATs: RFC 1918, RFC 6598, RFC 4193.
INNER = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))


def may_be_called(address: str, networks: Sequence[Network]) -> bool:
    """Whether a home may connect to `address`: it is public, or in one of `networks`, and one machine's in any case."""
    ip = _one_machine(address)
    if ip is None:
        return False
    if any(ip in network for network in networks):
        return True
    if isinstance(ip, IPv6Address) and (ip.sixtofour or ip.teredo or ip.packed[:2] == b"\x00\x64"):
        return False  # another address is inside, and another machine would unwrap it
    return ip.is_global and not (ip.is_private or ip.is_reserved)


def may_be_told(local: str, seen: str, networks: Sequence[Network]) -> bool:
    """Whether contacts behind the same NAT may hear what a client seen at `seen` calls its own address: a private one, or that very one.
    A home connects nowhere by it, and nobody is sent to a public address that was not proven, nor to their own machine."""
    ip = _one_machine(local)
    if ip is None:
        return False
    return ip == _one_machine(seen) or any(ip in network for network in (*INNER, *networks))


def _one_machine(address: str) -> IP | None:
    """The address of one machine. None for a name, a group's address, and an address that no machine may have."""
    ip = ip_of(address)
    many = ip is None or ip.is_multicast or ip.is_unspecified or (isinstance(ip, IPv4Address) and ip.packed[0] in (0, 255))
    return None if many else ip


class Owner(Protocol):
    """The owner of a line: the outlet whose parts the line carries."""

    def confirmed(self, count: int) -> None:
        """The client has taken so many parts."""

    def line_writable(self) -> None:
        """The transport takes more again."""

    def retreat(self) -> None:
        """The line is closed."""


class DirectLine(asyncio.Protocol):
    """The home's end of a line. `answered`: the reason why the client cannot be called, or None when it can."""

    __slots__ = ("_buffer", "_expected", "_greeting", "_transport", "answered", "owner", "paused")

    def __init__(self, key: bytes) -> None:
        nonce = secrets.token_hex(16).encode()
        self._greeting = b"FLASH/1 home %b %b\n" % (nonce, hmac.digest(key, b"home" + nonce, "sha256").hex().encode())
        self._expected = hmac.digest(key, b"probe" + nonce, "sha256").hex().encode() + b"\n"
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.answered: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.owner: Owner | None = None
        self.paused = False

    def send(self, data: bytes) -> None:
        """Hand bytes to the transport. They are dropped when it is gone, because the owner is told of that."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        """Drop the connection; the owner hears nothing more."""
        self.owner = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the greeting."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not subclasses
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._transport.write(self._greeting)

    def data_received(self, data: bytes) -> None:
        """Read the answer to the probe, then how many parts the client has taken. Anything else ends the line."""
        self._buffer += data
        if not self.answered.done():
            if len(self._buffer) >= ANSWER_BYTES:
                right = hmac.compare_digest(self._buffer, self._expected)
                self._buffer = b""
                self.answered.set_result(None if right else "wrong_answer")
            return
        whole = len(self._buffer) // COUNT_BYTES * COUNT_BYTES
        if self.owner is None:  # the key is proven, but no part was sent yet that could be counted
            self.abort()
        elif whole:
            count = int.from_bytes(self._buffer[whole - COUNT_BYTES : whole])  # the newest count includes the older ones
            self._buffer = self._buffer[whole:]
            self.owner.confirmed(count)

    def pause_writing(self) -> None:
        """The transport is full."""
        self.paused = True

    def resume_writing(self) -> None:
        """The client has read on."""
        self.paused = False
        if self.owner is not None:
            self.owner.line_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client, or the way to it, is gone."""
        self._transport = None
        if not self.answered.done():
            self.answered.set_result("wrong_answer" if self._buffer else "no_answer")
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.retreat()

    @property
    def gone(self) -> bool:
        """Whether the line is closed."""
        return self._transport is None or self._transport.is_closing()


async def call_client(address: str, port: int, key: bytes, probe_s: float) -> tuple[DirectLine | None, str | None]:
    """Connect and let the client prove its key, within `probe_s`. Returns the line, or the reason why there is none."""
    line = DirectLine(key)
    why: str | None = "no_answer"
    try:
        async with asyncio.timeout(probe_s):
            connecting = asyncio.get_running_loop().create_connection(lambda: line, address, port, flags=socket.AI_NUMERICHOST)
            await connecting
            why = await line.answered
    except (TimeoutError, OSError):
        pass  # `why` still is "no_answer"
    finally:
        if why is not None:
            line.abort()
    return (line, None) if why is None else (None, why)
