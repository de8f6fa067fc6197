"""What one turn of the loop writes leaves together, and nothing overtakes or gets lost when a connection ends in the same turn."""

import asyncio
import json

from edge.http.fast_path import WriteBuffer
from tests.edge.conftest import RunningHome
from tests.edge.http.test_head_cache import Transport
from tests.edge.raw_client import RawClient

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
ANN = b"Host: h\r\nAuthorization: Bearer ann-token\r\n"


async def test_what_is_written_leaves_with_the_turn_of_the_loop_in_order():
    buffer, one, other = WriteBuffer(), Transport(), Transport()
    buffer.write(one, b"a")
    buffer.write(other, b"x")
    buffer.write(one, b"b")
    assert one.written == other.written == b""
    await asyncio.sleep(0)
    assert (one.written, other.written) == (b"ab", b"x")
    buffer.write(one, b"c")
    buffer.flush()
    assert one.written == b"abc"
    await asyncio.sleep(0)
    assert one.written == b"abc"


async def test_nothing_is_written_to_a_connection_that_has_closed_meanwhile():
    buffer, gone, other = WriteBuffer(), Transport(), Transport()
    gone.is_closing = lambda: True  # type: ignore[method-assign]
    buffer.write(gone, b"a")
    buffer.write(other, b"b")
    buffer.flush()
    assert (gone.written, other.written) == (b"", b"b")


async def test_an_answer_goes_before_the_stream_that_follows_on_its_connection(home: RunningHome, raw_client: RawClient):
    body = json.dumps({"client": "test/1"}).encode()
    raw_client.send(HEALTH + b"POST /v1/back-connection HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (ANN, len(body), body))
    assert (await raw_client.response()).json == {"status": "alive"}
    status, headers, _ = await raw_client.head()
    assert (status, headers["content-type"]) == (200, "multipart/x-mixed-replace; boundary=flash")


async def test_an_answer_goes_before_the_one_that_closes_its_connection(home: RunningHome, raw_client: RawClient):
    raw_client.send(HEALTH + HEALTH.replace(b"healthz", b"nowhere").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (await raw_client.response()).status == 200
    assert (await raw_client.response()).status == 404
    assert await raw_client.rest() == b""


async def test_an_answer_arrives_though_the_client_has_closed_its_side(home: RunningHome, raw_client: RawClient):
    for _ in range(20):
        raw_client.send(HEALTH)
    raw_client.writer.write_eof()
    for _ in range(20):
        assert (await raw_client.response()).status == 200
    assert await raw_client.rest() == b""
