"""The integrators' calls, byte by byte: what is passed on, what is framed, who is let go."""

import pytest

from domain.errors import Gap, NotAnIntegrator, NotGranted
from servers.sessions.parts import BLANK, Part
from tests.edge.conftest import RunningGlobal
from tests.edge.raw_client import ANN, raw_client_to
from tests.support.waiting import eventually

EVENT = b'{"specversion":"1.0","id":"h1/user-2/7"}'


async def test_a_snapshot_passes_on_what_is_asked(global_server: RunningGlobal):
    async with raw_client_to(global_server.edge.port) as raw_client:
        answer = await raw_client.ask("GET", "/v1/presence", headers=ANN)
        assert (answer.status, answer.json["users"][0]["handle"]) == (200, "ann")
        await raw_client.ask("GET", "/v1/presence?uids=2,1,2&limit=7&page=1f", headers=ANN)
        assert global_server.server.asked == [(1, None, 1_000, 0), (1, [1, 2], 7, 31)]
        for query in ("uids=", "uids=0", "uids=1,,2", "uids=1;2", "limit=0", "limit=1001", "page=x", "after=1"):
            answer = await raw_client.ask("GET", f"/v1/presence?{query}", headers=ANN)
            assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid", query.partition("=")[0])
        assert (await raw_client.ask("GET", "/v1/presence")).status == 401


async def test_a_stream_is_written_as_server_sent_events_with_cursors(global_server: RunningGlobal):
    async with raw_client_to(global_server.edge.port) as raw_client:
        raw_client.request("GET", "/v1/presence/stream?after=9.0000000b&uids=2", headers=ANN)
        status, headers, _ = await raw_client.head()
        assert (status, headers["content-type"], headers["x-accel-buffering"]) == (200, "text/event-stream", "no")
        assert await raw_client.until(b"\n\n") == b'event: homes\ndata: {"silent":[],"blank_s":30}\n\n'
        (stream,) = global_server.server.streams
        stream.outlet.write((Part("presence", EVENT, cursor="a.0000000c"), BLANK))
        assert await raw_client.until(b"\n\n") == b"event: presence\nid: a.0000000c\ndata: " + EVENT + b"\n\n"
        assert await raw_client.until(b"\n\n") == b":\n\n"
        assert global_server.server.asked == [(1, [2], "9.0000000b")]
        stream.outlet.close()
        assert await raw_client.rest() == b""
    await eventually(lambda: global_server.server.gone == [stream])


async def test_the_last_event_id_goes_before_the_address(global_server: RunningGlobal):
    async with raw_client_to(global_server.edge.port) as raw_client:
        raw_client.request("GET", "/v1/presence/stream?after=old", headers={**ANN, "Last-Event-ID": "new"})
        assert (await raw_client.head())[0] == 200
    assert global_server.server.asked == [(1, None, "new")]
    await eventually(lambda: global_server.server.gone)


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [(Gap(), 410, "gap"), (NotAnIntegrator(), 403, "not_an_integrator"), (NotGranted(uids=[2]), 403, "not_granted")],
)
async def test_a_refusal_is_a_problem_before_the_stream_begins(global_server: RunningGlobal, refusal: Exception, status: int, code: str):
    global_server.server.refusal = refusal
    for path in ("/v1/presence", "/v1/presence/stream?after=1.00000000"):
        async with raw_client_to(global_server.edge.port) as raw_client:
            answer = await raw_client.ask("GET", path, headers=ANN)
            assert (answer.status, answer.code) == (status, code)


async def test_what_cannot_be_a_cursor_is_a_gap_and_a_stream_has_no_head(global_server: RunningGlobal):
    async with raw_client_to(global_server.edge.port) as raw_client:
        answer = await raw_client.ask("GET", "/v1/presence/stream", headers={**ANN, "Last-Event-ID": "x" * 65})
        assert (answer.status, answer.code) == (410, "gap")
        assert (await raw_client.ask("HEAD", "/v1/presence/stream", headers=ANN)).status == 405
        assert (await raw_client.ask("HEAD", "/v1/presence", headers=ANN)).status == 200
        assert "HEAD" not in (await raw_client.ask("OPTIONS", "/v1/presence/stream")).headers["allow"]
    assert global_server.server.streams == []


async def test_a_server_that_stops_lets_streams_go(global_server: RunningGlobal):
    async with raw_client_to(global_server.edge.port) as raw_client:
        raw_client.request("GET", "/v1/presence/stream", headers=ANN)
        assert (await raw_client.head())[0] == 200
        await raw_client.until(b"\n\n")
        await global_server.edge.stop(drain_s=0.1)
        assert await raw_client.rest() == b""
