"""HTTP itself: methods, versions, pipelining, bodies in pieces, and what is not HTTP."""

import asyncio

import pytest

from tests.edge.conftest import RunningHome
from tests.edge.raw_client import ANN, RawClient, raw_client_to
from tests.support.waiting import eventually

SEND = b'{"id":"m%d","to":2,"text":"x"}'
AUTH = b"Host: h\r\nAuthorization: Bearer ann-token\r\n"


def send(number: int) -> bytes:
    """A whole request."""
    body = SEND % number
    return b"POST /v1/messages HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (AUTH, len(body), body)


async def test_pipelined_requests_are_answered_in_order(home: RunningHome, raw_client: RawClient):
    raw_client.send(b"".join(send(number) for number in range(100)) + b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
    for number in range(100):
        assert (await raw_client.response()).json["id"] == f"m{number}"
    assert (await raw_client.response()).json == {"status": "alive"}
    assert [sent[1] for sent in home.home.sent] == [f"m{number}" for number in range(100)]


async def test_pipelined_requests_wait_for_a_slow_one(home: RunningHome, raw_client: RawClient):
    home.home.gate = asyncio.Event()
    raw_client.send(send(1) + b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
    await eventually(lambda: home.home.waiting == 1)
    raw_client.send(send(2))
    home.home.gate.set()
    assert [(await raw_client.response()).status for _ in range(3)] == [202, 200, 202]


async def test_a_request_may_come_byte_by_byte(home: RunningHome, raw_client: RawClient):
    for at in range(len(send(1))):
        raw_client.send(send(1)[at : at + 1])
        await raw_client.writer.drain()
        await asyncio.sleep(0)
    assert (await raw_client.response()).status == 202


async def test_chunked_bodies_are_understood(home: RunningHome, raw_client: RawClient):
    body = SEND % 1
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:5], body[5:]))
    raw_client.send(b"POST /v1/messages HTTP/1.1\r\n" + AUTH + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert (await raw_client.response()).status == 202
    assert (await raw_client.ask("GET", "/healthz")).status == 200


async def test_behind_an_upgrade_that_is_not_made_nothing_is_read(home: RunningHome, raw_client: RawClient):
    """The parser drops what follows in the same piece: the rest of that request would be taken for one of its own."""
    smuggled = send(2)
    begun = b"POST /v1/messages HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (AUTH, len(smuggled))
    raw_client.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + begun)
    answer = await raw_client.response()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    raw_client.send(smuggled)
    assert await raw_client.rest() == b""
    assert home.home.sent == []


async def test_a_client_that_asks_first_is_told_to_go_on(home: RunningHome, raw_client: RawClient):
    body = SEND % 1
    raw_client.send(b"POST /v1/messages HTTP/1.1\r\n%bExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (AUTH, len(body)))
    assert await raw_client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    raw_client.send(body)
    assert (await raw_client.response()).status == 202


async def test_http_1_0_is_closed_unless_asked_to_be_kept(home: RunningHome, raw_client: RawClient):
    raw_client.request("GET", "/healthz", headers={"Connection": "keep-alive"}, version="1.0")
    assert (await raw_client.response()).headers["connection"] == "keep-alive"
    raw_client.request("GET", "/healthz", version="1.0")
    assert (await raw_client.response()).headers["connection"] == "close"
    assert await raw_client.rest() == b""


async def test_close_is_honoured(home: RunningHome, raw_client: RawClient):
    answer = await raw_client.ask("GET", "/healthz", headers={"Connection": "close"})
    assert answer.headers["connection"] == "close"
    assert await raw_client.rest() == b""


async def test_head_has_the_headers_of_get_and_no_body(home: RunningHome, raw_client: RawClient):
    got = await raw_client.ask("GET", "/v1/contacts", headers=ANN)
    raw_client.request("HEAD", "/v1/contacts", headers=ANN)
    head = await raw_client.response("HEAD")
    assert (head.status, head.headers["content-length"]) == (200, got.headers["content-length"])
    raw_client.request("HEAD", "/nowhere")
    assert (await raw_client.response("HEAD")).status == 404
    assert (await raw_client.ask("GET", "/healthz")).status == 200


async def test_options_names_the_methods(home: RunningHome, raw_client: RawClient):
    answer = await raw_client.ask("OPTIONS", "/v1/contacts/2")
    assert (answer.status, answer.headers["allow"]) == (204, "DELETE, OPTIONS, PUT")
    assert (await raw_client.ask("OPTIONS", "*")).status == 204
    assert (await raw_client.ask("OPTIONS", "/nowhere")).status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE", "HEAD", "PROPFIND"])
async def test_a_wrong_method_is_told_the_right_ones(home: RunningHome, raw_client: RawClient, method: str):
    raw_client.request(method, "/v1/messages", headers=ANN)
    answer = await raw_client.response(method)
    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")
    if method != "HEAD":
        assert answer.code == "method_not_allowed"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/acks/", "//v1/acks", "/v1/contacts/", "/v1/contacts/2/x", "/v2/acks", "/v1/ACKS"]
)
async def test_a_wrong_address_is_not_found(home: RunningHome, raw_client: RawClient, path: str):
    answer = await raw_client.ask("POST", path, {}, ANN)
    assert (answer.status, answer.code) == (404, "not_found")
    assert (await raw_client.ask("GET", "/healthz")).status == 200


async def test_an_absolute_address_is_understood(home: RunningHome, raw_client: RawClient):
    assert (await raw_client.ask("GET", "http://flash/healthz?x=1")).status == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed"),
        (b"{", 400, "malformed"),
        (b'{"id":"m","to":2,"text":"x"}x', 400, "malformed"),
        (b'{"id":"\xff"}', 400, "malformed"),
        (b'{"id":"\\ud800","to":2,"text":"x"}', 400, "malformed"),
        (b"\xef\xbb\xbf{}", 400, "malformed"),
        (b"[" * 60_000, 422, "invalid"),
        (b'{"id":' + b"[" * 60_000, 422, "invalid"),
        (b'{"to":1.5,"id":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 422, "invalid"),
        (b"null", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b'{"id":"","to":2,"text":"x"}', 422, "invalid"),
        (b'{"id":"' + b"x" * 65 + b'","to":2,"text":"x"}', 422, "invalid"),
        (b'{"id":"m","to":"2","text":"x"}', 422, "invalid"),
        (b'{"id":"m","to":2.5,"text":"x"}', 422, "invalid"),
        (b'{"id":"m","to":0,"text":"x"}', 422, "invalid"),
        (b'{"id":"m","to":1e30,"text":"x"}', 422, "invalid"),
        (b'{"id":"m","to":9223372036854775808,"text":"x"}', 422, "invalid"),
        (b'{"id":"m","to":2,"text":""}', 422, "invalid"),
        (b'{"id":"m","to":2,"text":"x","urgent":1}', 422, "invalid"),
        (b'{"id":"m","to":2,"text":"x","colour":"red"}', 422, "invalid"),
        (b'{"id":"m","to":2,"text":"x","``":"red"}', 422, "invalid"),
        (b" " * 70_000, 413, "too_large"),
    ],
)
async def test_a_wrong_body_changes_nothing(home: RunningHome, raw_client: RawClient, body: bytes, status: int, code: str):
    answer = await raw_client.ask("POST", "/v1/messages", body, ANN)
    assert (answer.status, answer.code) == (status, code)
    assert home.home.calls == 0


@pytest.mark.parametrize("framing", [b"Content-Length: 70000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_is_too_large_is_refused_while_it_comes(home: RunningHome, raw_client: RawClient, framing: bytes):
    raw_client.send(b"POST /v1/messages HTTP/1.1\r\n" + AUTH + framing + b"\r\n\r\n")
    if framing.startswith(b"T"):
        for _ in range(5):
            raw_client.send(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
    answer = await raw_client.response()
    assert (answer.status, answer.code, answer.headers["connection"]) == (413, "too_large", "close")
    assert await raw_client.rest() == b""


async def test_bodies_and_queries_where_none_belong_are_refused(home: RunningHome, raw_client: RawClient):
    answer = await raw_client.ask("GET", "/v1/contacts", {}, ANN)
    assert (answer.status, answer.json["field"]) == (422, "body")
    answer = await raw_client.ask("GET", "/v1/contacts?x=1", headers=ANN)
    assert (answer.status, answer.json["field"]) == (422, "x")


async def test_compressed_bodies_are_refused(home: RunningHome, raw_client: RawClient):
    answer = await raw_client.ask("POST", "/v1/messages", b"\x1f\x8b", {**ANN, "Content-Encoding": "gzip"})
    assert (answer.status, answer.code) == (400, "malformed")


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: h\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: h\r\nBad Header: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 9_000 + b"\r\n\r\n",
        b"GET /healthz?" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"POST /v1/acks HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/acks HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/acks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_is_not_http_gets_a_problem_and_a_closed_door(home: RunningHome, raw_client: RawClient, junk: bytes):
    raw_client.send(junk)
    answer = await raw_client.response()
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "malformed", "close")
    assert await raw_client.rest() == b""


async def test_broken_chunks_in_a_later_piece_are_refused_at_once(home: RunningHome, raw_client: RawClient):
    raw_client.send(b"POST /v1/acks HTTP/1.1\r\n" + AUTH + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
    await raw_client.writer.drain()
    await asyncio.sleep(0)
    raw_client.send(b"zz\r\n")
    answer = await raw_client.response()
    assert (answer.status, answer.code) == (400, "malformed")


async def test_an_upgrade_is_not_followed(home: RunningHome, raw_client: RawClient):
    answer = await raw_client.ask("GET", "/healthz", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
    assert answer.status == 200
    async with raw_client_to(home.edge.port) as other:
        other.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        assert (await other.response()).status in (404, 405)


async def test_a_client_that_closes_its_side_still_gets_its_answers(home: RunningHome, raw_client: RawClient):
    home.home.yields = True
    raw_client.send(send(1) + send(2))
    raw_client.writer.write_eof()
    assert [(await raw_client.response()).json["id"] for _ in range(2)] == ["m1", "m2"]
    assert await raw_client.rest() == b""


async def test_a_request_whose_client_has_gone_is_finished(home: RunningHome):
    home.home.gate = asyncio.Event()
    async with raw_client_to(home.edge.port) as raw_client:
        raw_client.send(send(1))
        await eventually(lambda: home.home.waiting == 1)
    home.home.gate.set()
    await eventually(lambda: home.home.sent)


async def test_a_client_that_leaves_in_the_middle_of_a_body_leaves_nothing(home: RunningHome):
    async with raw_client_to(home.edge.port) as raw_client:
        raw_client.send(send(1)[:-3])
        await raw_client.writer.drain()
    await eventually(lambda: home.edge.metrics.connections() == 0)
    assert home.home.calls == 0
