"""What attackers have: connections from addresses of their own, and a share of the rate. Rule: an attacker goes on whatever it is told,
refusals, 503 and lost connections included."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bench.fair.town import Town
from bench.http_client import LENGTH, request
from bench.people import Person

MOST_HEAD = 1 << 20
CHUNKED = b"Transfer-Encoding: chunked\r\n"
FIRST_NETWORK = 16  # of 127.0.0.0/8: the first attack has 127.16.0.0/16


@dataclass(slots=True)
class Wire:
    """One connection, on which one request follows the other."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def call(self, data: bytes) -> tuple[int, bytes]:
        """A request and its answer. Raises `OSError`, `EOFError`."""
        self.writer.write(data)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        if CHUNKED in head:
            return int(head[9:12]), await self._chunks()
        return int(head[9:12]), await self.reader.readexactly(int(length[1])) if length else b""

    async def status(self) -> int:
        """The status of an answer behind which the connection ends; 0 when there was none. Raises `OSError`."""
        return int((await self.reader.read())[9:12] or 0)

    async def _chunks(self) -> bytes:
        """A long body, which nobody looks at."""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            await self.reader.readexactly(size + 2)
        await self.reader.readexactly(2)
        return b""

    def close(self) -> None:
        """Close it."""
        self.writer.close()


@dataclass(slots=True)
class Foe:
    """One attack. `share`: the part of the full rate; `ports`: of the Global Server and of h1; `number`: of the attack, which has a network
    of its own; `counted`: answers by status, so that one sees that the attack took place."""

    town: Town
    ports: tuple[int, int]
    share: float
    number: int = 0
    counted: dict[int, int] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def many(self, count: int) -> int:
        """So many of what the full attack has `count` of."""
        return max(1, round(count * self.share))

    async def wire(self, port: int, address: int | None = 0) -> Wire:
        """A connection from one of the addresses of this attack, by number; None: from that of the victims. Raises `OSError`."""
        local = "127.0.0.1" if address is None else f"127.{FIRST_NETWORK + self.number}.{address >> 8}.{address & 255}"
        return Wire(*await asyncio.open_connection("127.0.0.1", port, local_addr=(local, 0), limit=MOST_HEAD))

    @property
    def registry(self) -> int:
        """The Global Server's port."""
        return self.ports[0]

    @property
    def home(self) -> int:
        """The port of h1."""
        return self.ports[1]

    def fresh(self, what: str) -> str:
        """A name that nobody had."""
        return f"{what}{next(self._numbers)}"

    async def again_and_again(self, port: int, make: Callable[[], bytes], *, address: int | None = 0, pause_s: float = 0.0) -> None:
        """Send a request for ever on one connection, which is opened again when it ends."""
        while True:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
                wire = await self.wire(port, address)
                try:
                    while True:
                        self.count((await wire.call(make()))[0])
                        await asyncio.sleep(pause_s)
                finally:
                    wire.close()
            await asyncio.sleep(max(pause_s, 0.01))

    async def once(self, port: int, data: bytes, *, address: int | None = 0) -> tuple[int, Any]:
        """One request on a connection of its own; status 0 when it was lost."""
        with contextlib.suppress(OSError, EOFError, ValueError):
            wire = await self.wire(port, address)
            try:
                status, body = await wire.call(data)
                self.count(status)
                return status, json.loads(body or b"{}")
            finally:
                wire.close()
        return 0, {}

    def count(self, status: int, times: int = 1) -> None:
        """Note an answer, or several."""
        self.counted[status] = self.counted.get(status, 0) + times


def put(foe: Person, path: str, body: object) -> bytes:
    """A `PUT` of somebody's."""
    return request("PUT", path, foe.token, json.dumps(body).encode())


def post(path: str, body: object, token: str | None = None) -> bytes:
    """A `POST`, of somebody's with a token."""
    return request("POST", path, token, json.dumps(body).encode())


async def all_of(*works: Awaitable[None]) -> None:
    """Many at once, until somebody ends the attack."""
    await asyncio.gather(*works)
