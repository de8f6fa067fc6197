"""Whatever bytes come, the answer is a problem or a proper success, nothing is changed by junk, and the server goes on."""

import asyncio
import json
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.http.request_reader import MAX_LINE_BYTES
from tests.edge.conftest import RunningGlobal, RunningHome
from tests.edge.raw_client import ANN, raw_client_to

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"]
PATHS = [
    "/v1/back-connection",
    "/v1/parts",
    "/v1/direct",
    "/v1/tickets",
    "/v1/logoff",
    "/v1/contacts",
    "/v1/contacts/2",
    "/v1/contacts/%00",
    "/v1/messages",
    "/v1/acks",
    "/v1/messages/m/done",
    "/v1/status",
    "/v1/users",
    "/v1/tokens",
    "/v1/users/1",
    "/v1/users/me",
    "/v1/users/by-handle/%C3",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
]
FIELDS = ["id", "to", "text", "session", "upto", "wait_s", "status", "until", "profile", "handle", "password", "resume", "seq", "x"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=8,
)
bodies = json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)
paths = st.sampled_from(PATHS) | st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=40).map("/".__add__)
queries = st.just("") | st.text(alphabet="abq=&%+0;?[]", max_size=20).map("?".__add__)


def check(raw: bytes) -> list[int]:
    """The statuses of a series of responses; every one must be whole, every refusal a problem."""
    statuses = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        length = re.search(rb"Content-Length: (\d+)", head)
        body, raw = (rest[: int(length[1])], rest[int(length[1]) :]) if length else (b"", rest)
        statuses.append(status)
        if b"x-mixed-replace" in head:
            break
        if status >= 400 and body:
            assert b"Content-Type: application/problem+json" in head
            assert json.loads(body)["status"] == status
        assert status < 500, (head, body)
    return statuses


async def exchange(port: int, data: bytes) -> list[int]:
    """Send everything, close our side, and read what comes back."""
    async with raw_client_to(port) as raw_client:
        raw_client.send(data)
        raw_client.writer.write_eof()
        return check(await raw_client.rest())


@EXAMPLES
@given(data=st.data())
async def test_junk_in_well_formed_requests(home: RunningHome, global_server: RunningGlobal, data: st.DataObject):
    method, path, query = data.draw(st.sampled_from(METHODS)), data.draw(paths), data.draw(queries)
    body, token = data.draw(bodies), data.draw(st.sampled_from(["", "Bearer forged", "Bearer ann-token"]))
    for port in (home.edge.port, global_server.edge.port):
        async with raw_client_to(port) as raw_client:
            headers = {"Authorization": token, "Connection": "close"}
            raw_client.request(method, path + query, body, headers)
            status, fields, _ = await raw_client.head()
            if "multipart" in fields.get("content-type", ""):
                continue  # `{}` is a proper hello
            raw = await raw_client.rest()
            assert status < 500
            if method != "HEAD":
                assert len(raw) == int(fields.get("content-length", 0))
            if status >= 400 and method != "HEAD":
                assert fields["content-type"] == "application/problem+json"
                assert json.loads(raw)["status"] == status
        async with raw_client_to(port) as raw_client:
            assert (await raw_client.ask("GET", "/healthz")).status == 200


@EXAMPLES
@given(junk=st.binary(max_size=400))
async def test_junk_instead_of_requests(home: RunningHome, junk: bytes):
    await exchange(home.edge.port, junk)
    assert home.home.calls == 0
    assert await exchange(home.edge.port, b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n") == [200]


@EXAMPLES
@given(data=st.data())
async def test_damaged_requests(home: RunningHome, data: st.DataObject):
    body = b'{"id":"m","to":2,"text":"x"}'
    whole = b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ann-token\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    at = data.draw(st.integers(0, len(whole)))
    cut = data.draw(st.integers(0, 5))
    damaged = whole[:at] + data.draw(st.binary(max_size=5)) + whole[at + cut :]
    for pieces in ((damaged,), (damaged[:at], damaged[at:])):
        async with raw_client_to(home.edge.port) as raw_client:
            for piece in pieces:
                raw_client.send(piece)
                await raw_client.writer.drain()
                await asyncio.sleep(0)
            raw_client.writer.write_eof()
            check(await raw_client.rest())
    async with raw_client_to(home.edge.port) as raw_client:
        assert (await raw_client.ask("GET", "/v1/contacts", headers=ANN)).status == 200


async def test_a_line_without_end_is_refused_without_keeping_it(home: RunningHome):
    async with raw_client_to(home.edge.port) as raw_client:
        raw_client.send(b"GET /" + b"x" * (MAX_LINE_BYTES + 1))
        assert (await raw_client.response()).code == "malformed"
