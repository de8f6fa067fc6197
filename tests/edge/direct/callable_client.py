"""A client that listens, and offers the port. Rule: it does what a test says and answers only when told to."""

import asyncio
import base64
import hmac
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.edge.raw_client import ANN, DEADLINE_S, RawClient, Response

KEY = bytes(range(32))


def bound(port: int = 0, address: str = "127.0.0.1") -> socket.socket:
    """A socket at a port that others of ours may share."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((address, port))
    sock.setblocking(False)
    return sock


class CallableClient:
    """`calls`: the connections that came in, as they came."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self.calls: asyncio.Queue[RawClient] = asyncio.Queue()
        self.called = 0
        self.raw_clients: list[RawClient] = []

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.called += 1
        self.raw_clients.append(RawClient(reader, writer))
        self.calls.put_nowait(self.raw_clients[-1])

    async def offers(
        self,
        home_port: int,
        session: str,
        *,
        port: int | None = None,
        source: int | None = None,
        key: bytes = KEY,
        local: str | None = None,
        **headers: str,
    ) -> Response:
        """Offer `port` from `source`; both are this client's unless said otherwise. `local`: what to call our own address."""
        sock = bound(self.port if source is None else source)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", home_port))
        raw_client = RawClient(*await asyncio.open_connection(sock=sock))
        offered = self.port if port is None else port
        body = {"session": session, "port": offered, "key": base64.b64encode(key).decode(), "local": local}
        try:
            return await raw_client.ask("PUT", "/v1/direct", body, {**ANN, **headers, "Connection": "close"})
        finally:
            await raw_client.close()

    async def answers(self, key: bytes = KEY) -> RawClient:
        """Take the next call, check that it knows the key, prove that we do; what comes next is the line."""
        async with asyncio.timeout(DEADLINE_S):
            raw_client = await self.calls.get()
        version, kind, nonce, proof = (await raw_client.until(b"\n")).split()
        assert (version, kind) == (b"FLASH/1", b"home")
        assert proof.decode() == hmac.digest(KEY, b"home" + nonce, "sha256").hex()
        raw_client.send(hmac.digest(key, b"probe" + nonce, "sha256").hex().encode() + b"\n")
        return raw_client


@asynccontextmanager
async def callable_client() -> AsyncIterator[CallableClient]:
    """One at a free port of this machine."""
    listener = bound()
    client = CallableClient(listener)
    server = await asyncio.start_server(client.accept, sock=listener)
    try:
        yield client
    finally:
        server.close()
        for raw_client in client.raw_clients:
            await raw_client.close()
        await server.wait_closed()
