"""People who are really registered, in a program that is attacked. Rule: they are made once a run; each test gets a copy of their data.

`PROGRAM_UNDER_TEST` names another `flash` program: it makes its own village.
"""

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.support.program import Program, running_program

CROWD = 240  # of which a plain list of contacts is one short answer
PLAIN, FLAPPER = 0, 1  # the villagers who have the crowd as contacts, and whom the crowd has
RICH = range(2, 6)  # those who have the crowd as contacts, by names of 2,000 bytes
VILLAGERS = 6
LONG_NAME = "\U0001f642" * 500
AT_ONCE = 32
SMALL_SEGMENT, SMALL_BUFFER = 536, 4_096  # bytes: so the kernel holds little of what a client does not read
T = TypeVar("T")


@dataclass(frozen=True)
class Villager:
    uid: int
    token: str


@dataclass
class Village:
    """A running program and its people."""

    program: Program
    villagers: list[Villager]
    crowd: list[Villager]

    async def call(self, who: Villager, method: str, path: str, body: Any = None, *, home: bool = True) -> int:
        """The status of an answer."""
        return (await self.program.call(method, path, body, token=who.token, home=home))[0]

    async def knows(self, who: Villager, whom: Villager) -> None:
        """Let one have the other as a contact."""
        assert await self.call(who, "PUT", f"/v1/contacts/{whom.uid}", {}) == 201

    async def is_renamed(self, who: Villager) -> None:
        """Give a villager the long name."""
        assert await self.call(who, "PATCH", "/v1/users/me", {"profile": {"full_name": LONG_NAME}}, home=False) == 200

    async def sends(self, sender: Villager, to: Villager, name: str) -> int:
        return await self.call(sender, "POST", "/v1/messages", {"id": name, "to": to.uid, "text": "Pop over?"})


async def many(calls: Iterable[Awaitable[T]], at_once: int = AT_ONCE) -> list[T]:
    """The results of all of them, so many at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(call: Awaitable[T]) -> T:
        async with gate:
            return await call

    return await asyncio.gather(*map(one, calls))


async def build(directory: Path) -> tuple[list[Villager], list[Villager]]:
    """Register everybody and fill their lists. The program has ended when this returns."""
    async with running_program(directory, {"FLASH_REGISTRATIONS_PER_S": "1000"}) as program:
        grants = await many(program.registers(f"user{number}") for number in range(VILLAGERS + CROWD))
        people = sorted((Villager(grant["uid"], grant["token"]) for grant in grants), key=lambda each: each.uid)
        village = Village(program, people[:VILLAGERS], people[VILLAGERS:])
        plain, flapper, *_ = village.villagers
        await many(village.knows(who, whom) for who in (plain, flapper) for whom in village.crowd)
        await many(village.knows(whom, flapper) for whom in village.crowd)
        await many(village.is_renamed(who) for who in village.crowd)
    async with running_program(directory) as program:  # the one before remembers the short names
        village = Village(program, village.villagers, village.crowd)
        await many(village.knows(village.villagers[number], whom) for number in RICH for whom in village.crowd)
    return village.villagers, village.crowd


@asynccontextmanager
async def living(built: Path, people: tuple[list[Villager], list[Villager]], directory: Path) -> AsyncIterator[Village]:
    """The village in a program of its own."""
    shutil.copytree(built, directory, dirs_exist_ok=True)
    async with running_program(directory) as program:
        yield Village(program, *people)


def request(method: str, path: str, who: Villager, body: Any = None) -> bytes:
    """A whole request of a villager's."""
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: flash\r\nAuthorization: Bearer {who.token}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


@dataclass
class Wire:
    """A connection whose client reads only what a test asks for."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def asks(self, data: bytes) -> int:
        """Send a request, and read of its answer the status alone."""
        self.writer.write(data)
        return int((await self.reader.readline()).split()[1])


@asynccontextmanager
async def wires_to(port: int, count: int) -> AsyncIterator[list[Wire]]:
    """So many connections to a server on this machine."""
    wires: list[Wire] = []
    try:
        for _ in range(count):
            one = socket.socket()
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            one.setblocking(False)
            await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", port))
            wires.append(Wire(*await asyncio.open_connection(sock=one, limit=SMALL_BUFFER)))
        yield wires
    finally:
        for wire in wires:
            wire.writer.transport.abort()
