"""A running `flash serve` that is spoken to by HTTP only. `PROGRAM_UNDER_TEST` names another `flash` program to hold to the same tests.

It believes what 127.0.0.1 says in `X-Forwarded-For`, so that a test can come from any address.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.ports import free_ports
from tests.support.waiting import eventually

FLASH = os.environ.get("PROGRAM_UNDER_TEST", str(Path(sys.executable).with_name("flash")))
START_S = 60  # on a busy machine
PASSWORD = "correct horse"


@dataclass
class Program:
    """A Global Server on `port`, and the home h1 on the port behind it."""

    port: int
    pid: int
    http: aiohttp.ClientSession

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def call(
        self, method: str, path: str, body: Any = None, *, address: str = "192.0.2.1", token: str = "", home: bool = False
    ) -> tuple[int, Any]:
        """The status and the JSON of an answer to somebody at `address`."""
        headers = {"X-Forwarded-For": address, **({"Authorization": f"Bearer {token}"} if token else {})}
        url = f"http://127.0.0.1:{self.port + home}{path}"
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None) if answer.content_length else None

    async def registers(self, handle: str, address: str = "192.0.2.1") -> dict[str, Any]:
        """The grant of a new user."""
        status, grant = await self.call("POST", "/v1/users", {"handle": handle, "password": PASSWORD, "profile": {}}, address=address)
        assert status == 201, grant
        assert isinstance(grant, dict)
        return grant

    async def tries(self, handle: str, password: str, address: str) -> int:
        """The status of a sign-in."""
        return (await self.call("POST", "/v1/tokens", {"handle": handle, "password": password}, address=address))[0]

    async def metric(self, name: str, *, home: bool = False) -> float:
        """The value of a metric, with all its labels as `/metrics` shows them; 0 without it."""
        async with self.http.get(f"http://127.0.0.1:{self.port + home}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)


@asynccontextmanager
async def running_program(directory: Path, environment: Mapping[str, str] | None = None, port: int | None = None) -> AsyncIterator[Program]:
    """The program, from when it is ready until the block ends. `port`: of an earlier run in the same directory."""
    port = port or free_ports(2, in_a_row=True)[0]
    arguments = ("serve", "--homes", "1", "--port", str(port), "--data", str(directory / "data"))
    quiet = asyncio.subprocess.DEVNULL
    everything = {**os.environ, "FLASH_TRUSTED_PROXIES": "127.0.0.1", **(environment or {})}
    process = await asyncio.create_subprocess_exec(FLASH, *arguments, stdout=quiet, stderr=quiet, env=everything)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        program = Program(port, process.pid, http)

        async def ready() -> bool:
            try:
                async with http.get(f"http://127.0.0.1:{port}/readyz") as one, http.get(f"http://127.0.0.1:{port + 1}/readyz") as other:
                    return one.status == other.status == 200
            except aiohttp.ClientError:
                return False

        try:
            await eventually(ready, START_S)
            yield program
        finally:
            process.terminate()
            await process.wait()
