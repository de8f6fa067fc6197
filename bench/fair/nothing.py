"""A program that answers 503 to everything, in the place of a server: `python -m bench.fair.nothing PORT PORT`. Rule: it does no work,
so that what is late here is the machine."""

import asyncio
import sys

import uvloop

ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
END = b"\r\n\r\n"


class Nothing(asyncio.Protocol):
    """One connection. A body is taken for part of the request before it: answers are as many as heads."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each head."""
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(ANSWER * data.count(END))


async def _serve(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(Nothing, "127.0.0.1", port, backlog=4_096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve([int(port) for port in sys.argv[1:]]))
