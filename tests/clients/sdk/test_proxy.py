"""Through a real forward proxy: calls and the back connection, told by the environment, with exceptions and a password."""

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from flash_sdk import FlashClient, Unreachable, Welcome
from tests.clients.sdk.peer import PASSWORD, Peer
from tests.support.waiting import eventually


class ForwardProxy:
    """A minimal HTTP forward proxy: takes requests in absolute form, opens the origin, and copies bytes both ways."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream: asyncio.StreamWriter | None = None
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            method, url, _ = head.split("\r\n", 1)[0].split(" ")
            authority, _, path = url.removeprefix("http://").partition("/")
            host, _, port = authority.partition(":")
            from_origin, upstream = await asyncio.open_connection(host, int(port or 80))
            rest = head.split("\r\n", 1)[1]
            upstream.write(f"{method} /{path} HTTP/1.1\r\nConnection: close\r\n{rest}".encode())
            await asyncio.gather(_copy(reader, upstream), _copy(from_origin, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # one side left: so do we
        finally:
            writer.close()
            if upstream is not None:
                upstream.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ForwardProxy]:
    proxy = ForwardProxy()
    await proxy.start()
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    yield proxy
    await proxy.stop()


async def test_everything_goes_through_the_proxy(peer: Peer, proxy: ForwardProxy) -> None:
    async with FlashClient(peer.url) as client:
        await client.login("ann", PASSWORD)
        events = client.listen()
        asked = asyncio.ensure_future(anext(events))
        line = await peer.line()
        await line.welcome()
        await asked
        assert isinstance(await anext(events), Welcome)
        await line.part("blank")
        await eventually(lambda: peer.bodies("/v1/acks"))
    assert [head.split("\r\n", 1)[0] for head in proxy.heads][:2] == [
        f"POST {peer.url}/v1/tokens HTTP/1.1",
        f"POST {peer.url}/v1/back-connection HTTP/1.1",
    ]
    assert len(proxy.heads) == len(peer.calls)


async def test_a_proxy_with_a_password(peer: Peer, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    async with FlashClient(peer.url) as client:
        await client.login("ann", PASSWORD)
    assert "Proxy-Authorization: Basic " + base64.b64encode(b"me:p@ss").decode() in proxy.heads[0]


@pytest.mark.parametrize("exception", ["127.0.0.1", "*"])
async def test_no_proxy_is_honoured(peer: Peer, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, exception: str) -> None:
    monkeypatch.setenv("NO_PROXY", exception)
    async with FlashClient(peer.url) as client:
        await client.login("ann", PASSWORD)
    assert proxy.heads == []


async def test_a_proxy_that_is_away_is_said_in_one_sentence(peer: Peer, proxy: ForwardProxy) -> None:
    await proxy.stop()
    async with FlashClient(peer.url) as client:
        with pytest.raises(Unreachable, match="no answer from"):
            await client.login("ann", PASSWORD)
