"""A proxy between clients and a home, as it stands at every firewall. Rule: bytes pass unchanged until the test cuts the line."""

import asyncio
import contextlib


class Proxy:
    """Listens on a port of its own and passes connections on to `port`. Use as an async context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *failure: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._lines):
            task.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """What clients use instead of the home's URL."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def freeze(self) -> None:
        """Let the client vanish in silence: connections stay open, and no byte passes."""
        self._flows.clear()

    def thaw(self) -> None:
        """Bytes pass again."""
        self._flows.set()

    def cut(self) -> None:
        """Reset both ends of every connection, and let no client in any more."""
        self._refuses = True
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Let clients in again after `cut`."""
        self._refuses = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            upstream, onward = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # the home is down, so the proxy leads nowhere
            writer.transport.abort()
            return
        self._open |= {writer, onward}
        for source, sink in ((reader, onward), (upstream, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._lines.add(task)
            task.add_done_callback(self._lines.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                await self._flows.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
        self._open.discard(sink)
