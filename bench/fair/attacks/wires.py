"""The attacks that misuse connections. Rule: they need no account."""

import asyncio
import contextlib

from bench.fair.foe import Foe, all_of
from bench.http_client import request

HEALTH = request("GET", "/healthz", None)
STATUS_LINE = b"HTTP/1.1 "
AT_ONCE = 6_000  # requests of a pipeline


async def unread_answers(foe: Foe) -> None:
    """Fifty connections ask 2,000 times each and do not read the answers."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                wire = await foe.wire(foe.home)
                wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
                wire.writer.write(request("GET", "/openapi.json", None) * 2_000)
                await asyncio.sleep(20.0)
                wire.close()

    await all_of(*(one() for _ in range(foe.many(50))))


async def pipelines(foe: Foe) -> None:
    """Eight connections ask 6,000 times at once and read, again and again."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                wire = await foe.wire(foe.home)
                try:
                    await _pipeline(foe, wire.reader, wire.writer)
                finally:
                    wire.close()
            await asyncio.sleep(0.1)

    await all_of(*(one() for _ in range(foe.many(8))))


async def _pipeline(foe: Foe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(HEALTH * AT_ONCE)
        answered, end = 0, b""
        while answered < AT_ONCE:
            data = await reader.read(1 << 20)
            if not data:
                return
            found = (end + data).count(STATUS_LINE)
            end = data[-len(STATUS_LINE) + 1 :]
            answered += found
            foe.count(200, found)


async def unfinished_heads(foe: Foe) -> None:
    """A thousand connections send 8,000 bytes of a head and wait."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                wire = await foe.wire(foe.home)
                wire.writer.write(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 7_960)
                foe.count(await wire.status())
                wire.close()
            await asyncio.sleep(1.0)

    await all_of(*(one() for _ in range(foe.many(1_000))))


async def descriptors(foe: Foe) -> None:
    """One address opens 8,000 connections, asks once on each and keeps it."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                wire = await foe.wire(foe.home)
                foe.count((await wire.call(HEALTH))[0])
                await wire.reader.read()
                wire.close()
            await asyncio.sleep(1.0)

    await all_of(*(one() for _ in range(foe.many(8_000))))
