"""The port that a client offers to its home, and the direct line on which the home then sends parts.

Rule: nobody gets in who cannot prove the key of the latest offer, and an offer is good for one call. Popups come in with a stamp.
"""

import asyncio
import base64
import hmac
import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from weakref import WeakSet

import aiohttp
from yarl import URL

from flash_sdk.errors import ProtocolError
from flash_sdk.events import Message
from flash_sdk.json_fields import parse_object
from flash_sdk.multipart import MultipartParser
from flash_sdk.parts import Part
from flash_sdk.peer_routes import TAKEN, DirectTimeouts, answer_to_ticket, stamped_message
from flash_sdk.proxies import Proxies
from flash_sdk.stream import Lost, PartReader

MAX_CALLERS = 4  # that have not proven anything yet; the home is one of them, and calls once
MAX_GREETING_BYTES = 256  # a greeting of ours has 110
COUNT_BYTES = 8
READ_BYTES = 65_536


class DirectLine:
    """What the home sends on its call. A part counts as taken when it is given out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._stream = reader
        self._writer = writer
        self._parts = PartReader(MultipartParser("flash"), self._read)
        self.taken = 0

    async def next(self) -> Part:
        """The next part. Raises `Lost`, `ProtocolError`."""
        return await self._parts.next()

    async def _read(self) -> bytes:
        try:
            chunk = await self._stream.read(READ_BYTES)
        except OSError as error:
            raise Lost("the direct line broke") from error
        if not chunk:
            raise Lost("the direct line ended")
        return chunk

    def confirm(self) -> None:
        """Tell the home that one more part has arrived, so that it need not keep that part."""
        self.taken += 1
        if not self._writer.is_closing():
            self._writer.write(self.taken.to_bytes(COUNT_BYTES, "big"))

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


class DirectPort:
    """The port at which one listener can be called. It is opened with the first offer, and stays the same for every session."""

    def __init__(
        self,
        home: str,
        token: str,
        timeouts: DirectTimeouts | None = None,
        line: Callable[[asyncio.StreamReader, asyncio.StreamWriter], DirectLine] = DirectLine,
    ) -> None:
        """`home`: the home's base URL. `line`: makes the line of a call of the home."""
        self._home = URL(home)
        self._token = token
        self._timeouts = timeouts or DirectTimeouts()
        self._make_line = line
        self._server: asyncio.Server | None = None
        self._family = socket.AF_INET
        self._towards: tuple[Any, ...] = ("127.0.0.1", 9)
        self._port = 0
        self._key: bytes | None = None  # of the latest offer, until somebody has proven it
        self.agreed_key: bytes | None = None  # the key of the latest offer that the home has heard, whether it could call or not
        self.receive: Callable[[Message], bool] | None = None  # gets each popup that comes directly; says whether it was taken
        self.callers = 0  # that have not proven anything yet
        self._writers: WeakSet[asyncio.StreamWriter] = WeakSet()  # of all callers
        self._tasks: set[asyncio.Task[None]] = set()
        self._line: DirectLine | None = None
        self.lines = 0  # how many calls of the home were taken

    async def offer(self, session: str) -> str | None:
        """Ask the home to call. Gives None when the home has called, else the reason: what the home says, or `tls` (a direct line is not
        encrypted, so the way to the home is the safer one), `proxy`, `failed` (no port, no answer, or a home that knows no offers)."""
        if self._home.scheme == "https":
            return "tls"
        if Proxies().for_url(self._home) is not None:
            return "proxy"
        key = self._key = secrets.token_bytes(32)
        try:
            async with asyncio.timeout(self._timeouts.offer_s):
                if self._server is None:
                    await self._open()
                offered = {"session": session, "port": self._port, "key": base64.b64encode(key).decode(), "local": self._local()}
                answer = await self._put(offered)
        except (aiohttp.ClientError, OSError, ProtocolError):  # a timeout is an OSError
            return "failed"
        finally:
            if self._key is key:
                self._key = None
        if answer.get("reachable") is True:
            return None
        why = answer.get("why")
        if not isinstance(why, str):
            return "failed"
        self.agreed_key = key  # a home that cannot call may still give tickets to clients that are nearer
        return why

    def take_line(self) -> DirectLine | None:
        """The line on which the home has called; None when it has not called or the line was taken."""
        line, self._line = self._line, None
        return line

    def deliver(self, message: Message) -> bool:
        """Give out a popup that came directly; whether it was taken."""
        return self.receive is not None and self.receive(message)

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _open(self) -> None:
        host, port = self._home.host or "", self._home.port
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._family, self._towards = infos[0][0], infos[0][4][:2]
        self._port = 0
        listener = self._bound()
        self._port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=READ_BYTES)

    def _bound(self, _info: object = None) -> socket.socket:
        """A socket at our port: the one that listens, or one from which an offer is made."""
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if not hasattr(socket, "SO_REUSEPORT"):
                raise OSError("this system cannot connect from a port at which it listens")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("", self._port))
            sock.setblocking(False)
        except OSError:
            sock.close()
            raise
        return sock

    def _local(self) -> str:
        """The address that our packets to the home leave with; behind a NAT, clients there can use it. Sends nothing."""
        with socket.socket(self._family, socket.SOCK_DGRAM) as sock:
            sock.connect(self._towards)
            return str(sock.getsockname()[0])

    async def _put(self, body: dict[str, Any]) -> dict[str, Any]:
        connector = aiohttp.TCPConnector(family=self._family, socket_factory=self._bound, force_close=True)
        headers = {"Authorization": f"Bearer {self._token}"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
            # The home closes, because otherwise the pair of ports would stay taken for a minute on our side.
            closing = {"Connection": "close"}
            async with http.put(self._home / "v1/direct", json=body, headers=closing, allow_redirects=False) as response:
                return parse_object(await response.content.read(READ_BYTES)) if response.status == 200 else {}

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """This is no coroutine, because a coroutine that is cancelled before its first step closes nothing."""
        if self._server is None:
            writer.transport.abort()
            return
        self._writers.add(writer)
        task = asyncio.ensure_future(self._called(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hang up on a caller who is neither the home nor holds a ticket, who says too much, or who is too slow."""
        if (self._key is None and self.agreed_key is None) or self.callers >= MAX_CALLERS:
            writer.transport.abort()
            return
        self.callers += 1
        line: DirectLine | None = None
        try:
            async with asyncio.timeout(self._timeouts.greeting_s):
                line = await self._greeted(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):  # a timeout is an OSError
            pass  # the caller proved nothing, so nothing has happened
        finally:
            self.callers -= 1
            if line is None:
                writer.transport.abort()
        if line is not None and self._server is None:
            line.close()
        elif line is not None:
            self.lines += 1
            if self._line is not None:
                self._line.close()
            self._line = line

    async def _greeted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> DirectLine | None:
        said = b""
        while not said.endswith(b"\n"):  # byte by byte, because the bytes after the line belong to the parts
            said += await reader.readexactly(1)
            if len(said) > MAX_GREETING_BYTES:
                return None
        words, key = said.split(), self._key
        if words[:2] == [b"FLASH/1", b"popup"]:
            await self._popup(reader, writer, words[2:])
            return None
        if key is None or len(words) != 4 or words[:2] != [b"FLASH/1", b"home"]:
            return None
        if not hmac.compare_digest(words[3], hmac.digest(key, b"home" + words[2], "sha256").hex().encode()):
            return None
        self._key, self.agreed_key = None, key
        writer.write(hmac.digest(key, b"probe" + words[2], "sha256").hex().encode() + b"\n")
        return self._make_line(reader, writer)

    async def _popup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: list[bytes]) -> None:
        """Take a popup from a caller with a ticket: prove to be the recipient, and confirm the popup if its stamp is right."""
        here = None if self.agreed_key is None else answer_to_ticket(words, self.agreed_key, datetime.now(UTC))
        if self.agreed_key is None or here is None:
            return
        writer.write(here)
        message = stamped_message(await reader.readexactly(int(words[-1])), self.agreed_key, datetime.now(UTC))
        if message is not None and self.deliver(message):
            writer.write(TAKEN)
            writer.close()
            await writer.wait_closed()
