"""A client that sees bytes. Rule: nothing is interpreted that a test has not asked for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

ANN = {"Authorization": "Bearer ann-token"}
BOB = {"Authorization": "Bearer bob-token"}
DEADLINE_S = 10  # nothing here takes a tenth of a second


class Response(NamedTuple):
    """One response. Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code, after checking that this is a proper problem."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = self.json
        assert problem["status"] == self.status
        assert {"type", "title", "status", "detail", "code"} <= set(problem)
        assert problem["type"] == f"urn:flash:problem:{problem['code']}"
        return str(problem["code"])


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, version: str = "1.1") -> None:
        """Send a well-formed request. A body that is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"Host": "flash", **(headers or {})}
        if body is not None:
            fields["Content-Length"] = str(len(raw))
        head = f"{method} {path} HTTP/{version}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.send(head.encode() + b"\r\n" + raw)

    async def head(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and the raw bytes of a response's head."""
        async with asyncio.timeout(DEADLINE_S):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        lines = raw.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in headers.items()}, raw

    async def response(self, method: str = "GET") -> Response:
        status, headers, _ = await self.head()
        length = 0 if method == "HEAD" else int(headers.get("content-length", 0))
        return Response(status, headers, await self.exactly(length))

    async def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Response:
        self.request(method, path, body, headers)
        return await self.response(method)

    async def exactly(self, count: int) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readexactly(count)

    async def until(self, mark: bytes) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readuntil(mark)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection, however it ends."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def part(self) -> tuple[str, Any]:
        """The next multipart part, as far as it goes before the next boundary."""
        head = await self.until(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        assert list(fields) == ["Content-Type", "Flash-Part", "Content-Length"]
        assert fields["Content-Type"] == "application/json"
        return fields["Flash-Part"], json.loads(await self.exactly(int(fields["Content-Length"])))

    async def log_in(self, headers: dict[str, str] = ANN, body: Any = None) -> Any:
        """Open a back connection; the welcome part."""
        self.request("POST", "/v1/back-connection", body, headers)
        status, _, _ = await self.head()
        assert status == 200
        assert await self.until(b"--flash\r\n") == b"--flash\r\n"
        name, welcome = await self.part()
        assert name == "welcome"
        assert await self.until(b"--flash\r\n") == b"\r\n--flash\r\n"
        return welcome

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def raw_client_to(port: int) -> AsyncIterator[RawClient]:
    """A connection to a server on this machine."""
    raw_client = RawClient(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield raw_client
    finally:
        await raw_client.close()
