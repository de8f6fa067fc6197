"""The back connection: framing to the byte, and what becomes of it when clients read slowly, leave or misbehave."""

import asyncio
import gc
import socket
from typing import cast

import pytest

from domain.errors import Unavailable
from edge.http.connection import Connection
from edge.transports.back_connection import HIGH_WATER_BYTES, MAX_IGNORED_BYTES, BackConnection
from servers.sessions.parts import BLANK
from servers.sessions.sessions import Hello
from tests.edge.conftest import RunningHome
from tests.edge.raw_client import ANN, RawClient, raw_client_to
from tests.edge.stand_ins import StandInSession, part, welcome_of
from tests.support.waiting import eventually

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nCache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n"
MULTIPART_HEAD = HEAD % b"multipart/x-mixed-replace; boundary=flash"
WELCOME = welcome_of("s1", 1)


def only_session(home: RunningHome) -> StandInSession:
    """The one session there is."""
    (session,) = home.home.sessions.values()
    return session


async def test_every_byte_is_as_the_protocol_has_it(home: RunningHome, raw_client: RawClient):
    raw_client.request("POST", "/v1/back-connection", headers=ANN)
    welcome = b"Content-Type: application/json\r\nFlash-Part: welcome\r\nContent-Length: %d\r\n\r\n%b" % (len(WELCOME), WELCOME)
    start = MULTIPART_HEAD + b"--flash\r\n" + welcome + b"\r\n--flash\r\n"
    assert await raw_client.exactly(len(start)) == start
    session = only_session(home)
    session.outlet.write((part("message", {"seq": 1}, 1), BLANK))
    more = (
        b'Content-Type: application/json\r\nFlash-Part: message\r\nContent-Length: 9\r\n\r\n{"seq":1}\r\n--flash\r\n'
        b"Content-Type: application/json\r\nFlash-Part: blank\r\nContent-Length: 2\r\n\r\n{}\r\n--flash\r\n"
    )
    assert await raw_client.exactly(len(more)) == more
    async with raw_client_to(home.edge.port) as other:
        assert (await other.ask("POST", "/v1/logoff", {"session": "s1"}, ANN)).status == 204
    body = b'{"reason":"logoff","reconnect_after_s":null}'
    assert await raw_client.rest() == (
        b"Content-Type: application/json\r\nFlash-Part: goodbye\r\nContent-Length: 44\r\n\r\n" + body + b"\r\n--flash--\r\n"
    )
    await eventually(lambda: home.home.gone == [session])


async def test_what_a_client_says_of_itself_reaches_the_home(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in(body={"client": "tk/1.0", "pong": True, "resume": {"session": "s0", "seq": 17}})
    assert only_session(home).hello == Hello("tk/1.0", True, "s0", 17)


@pytest.mark.parametrize(
    ("resume", "session", "seq"),
    [({}, None, None), ({"session": "s0"}, "s0", None), ({"seq": 17}, None, 17), ({"session": "s0", "seq": 0}, "s0", None)],
)
async def test_a_client_resumes_after_the_last_message_that_it_has(
    home: RunningHome, raw_client: RawClient, resume: object, session: str | None, seq: int | None
):
    await raw_client.log_in(body={"resume": resume})
    assert only_session(home).hello == Hello("", False, session, seq)


async def test_the_body_may_be_missing_empty_or_chunked(home: RunningHome):
    for framing in (b"", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"):
        async with raw_client_to(home.edge.port) as raw_client:
            raw_client.send(b"POST /v1/back-connection HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ann-token\r\n" + framing + b"\r\n")
            if b"chunked" in framing:
                raw_client.send(b"2\r\n{}\r\n0\r\n\r\n")
            assert (await raw_client.head())[2] == MULTIPART_HEAD


async def test_an_http_1_0_client_gets_the_same(home: RunningHome, raw_client: RawClient):
    raw_client.request("POST", "/v1/back-connection", headers=ANN, version="1.0")
    assert (await raw_client.head())[2] == MULTIPART_HEAD


async def test_a_browser_gets_events(home: RunningHome, raw_client: RawClient):
    raw_client.request("POST", "/v1/back-connection", headers={**ANN, "Accept": "text/event-stream"})
    assert (await raw_client.head())[2] == HEAD % b"text/event-stream"
    assert await raw_client.until(b"\n\n") == b"event: welcome\ndata: " + WELCOME + b"\n\n"
    outlet = only_session(home).outlet
    outlet.write((part("message", {"seq": 7}, 7), BLANK, part("done", {"id": "m1"})))
    outlet.write((part("message")._replace(body=b'{"a":\n1}', seq=8),))
    outlet.write((part("receipt", {"seq": 9}, 9), part("goodbye")))
    outlet.close()
    assert await raw_client.rest() == (
        b'event: message\nid: 7\ndata: {"seq":7}\n\n:\n\nevent: done\ndata: {"id":"m1"}\n\n'
        b'event: message\nid: 8\ndata: {"a":\ndata: 1}\n\nevent: receipt\ndata: {"seq":9}\n\nevent: goodbye\ndata: {}\n\n'
    )


async def test_a_refused_login_is_a_problem(home: RunningHome, raw_client: RawClient):
    home.home.refusal = Unavailable("The store is away.")
    answer = await raw_client.ask("POST", "/v1/back-connection", {}, ANN)
    assert (answer.status, answer.code, answer.headers["connection"]) == (503, "unavailable", "close")
    assert await raw_client.rest() == b""
    await eventually(lambda: home.edge.metrics.connections() == 0)


async def test_a_login_that_fails_for_our_mistake_is_a_problem_too(home: RunningHome, raw_client: RawClient):
    home.home.refusal = KeyError("x")
    answer = await raw_client.ask("POST", "/v1/back-connection", {}, ANN)
    assert (answer.status, answer.code) == (500, "internal")


@pytest.mark.parametrize("body", [{"client": 5}, {"resume": {"session": ""}}, {"resume": {"session": "s", "seq": -1}}, {"x": 1}, []])
async def test_a_wrong_hello_is_refused_and_the_connection_goes_on(home: RunningHome, raw_client: RawClient, body: object):
    answer = await raw_client.ask("POST", "/v1/back-connection", body, ANN)
    assert (answer.status, answer.code) == (422, "invalid")
    assert (await raw_client.ask("GET", "/healthz")).status == 200


async def test_a_client_that_closes_is_lost(home: RunningHome):
    async with raw_client_to(home.edge.port) as raw_client:
        await raw_client.log_in()
        session = only_session(home)
    await eventually(lambda: home.home.gone == [session])
    session.outlet.write((BLANK,))  # must not raise
    session.outlet.close()
    session.outlet.abort()
    assert not session.outlet.writable


async def test_a_client_that_closes_its_side_is_lost(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in()
    raw_client.writer.write_eof()
    await eventually(lambda: home.home.gone)


async def test_a_client_that_resets_is_lost(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in()
    linger_zero = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    raw_client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
    raw_client.writer.transport.abort()
    await eventually(lambda: home.home.gone)


async def test_a_client_that_leaves_during_the_login_is_lost(home: RunningHome):
    home.home.gate = asyncio.Event()
    async with raw_client_to(home.edge.port) as raw_client:
        raw_client.request("POST", "/v1/back-connection", headers=ANN)
        await eventually(lambda: home.home.waiting)
    await eventually(lambda: home.edge.metrics.back_connections == 0)
    assert not home.home.sessions
    home.home.gate.set()
    await eventually(lambda: home.home.gone)
    assert home.home.gone == [only_session(home)]


async def test_a_little_chatter_is_ignored_and_much_is_not(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in()
    raw_client.send(b"x" * MAX_IGNORED_BYTES)
    await raw_client.writer.drain()
    only_session(home).outlet.write((BLANK,))
    assert (await raw_client.part())[0] == "blank"
    raw_client.send(b"x")
    await eventually(lambda: home.home.gone)


async def test_requests_behind_a_back_connection_are_not_answered(home: RunningHome, raw_client: RawClient):
    raw_client.request("POST", "/v1/back-connection", headers=ANN)
    for _ in range(40):  # more than the parser holds unhandled
        raw_client.request("PUT", "/v1/status", {"status": "away"}, ANN)
    await raw_client.head()
    await raw_client.until(b"welcome")
    assert not home.home.statuses
    raw_client.writer.close()
    await eventually(lambda: home.home.gone)


async def test_a_slow_reader_is_noticed_and_told_when_it_reads_again(home: RunningHome):
    async with raw_client_to(home.edge.port) as raw_client:
        await raw_client.log_in()
        client = cast(asyncio.Transport, raw_client.writer.transport)
        client.pause_reading()
        session = only_session(home)
        big = part("message", {"text": "x" * 16_000}, 1)
        written = 0
        while session.outlet.writable:
            session.outlet.write((big,))
            written += 1
            await asyncio.sleep(0)
        assert isinstance(session.outlet, BackConnection)
        assert session.outlet.unsent_bytes < HIGH_WATER_BYTES + 2 * 16_200
        assert session.resumed == 0
        client.resume_reading()
        for _ in range(written):
            assert (await raw_client.part())[0] == "message"
            await raw_client.until(b"--flash\r\n")
        await eventually(lambda: session.resumed)
        assert session.outlet.writable


async def test_abort_drops_what_was_not_sent(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in()
    only_session(home).outlet.abort()
    assert await raw_client.rest() == b""
    await eventually(lambda: home.home.gone)


async def test_nothing_follows_a_goodbye(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in()
    outlet = only_session(home).outlet
    outlet.write((part("goodbye"),))
    outlet.write((BLANK,))
    outlet.close()
    assert (await raw_client.rest()).endswith(b"{}\r\n--flash--\r\n")


async def test_a_stream_closed_without_goodbye_is_still_ended(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in()
    only_session(home).outlet.close()
    assert await raw_client.rest() == b"\r\n--flash--\r\n"


async def test_after_the_handshake_nothing_of_http_is_left(home: RunningHome):
    def connections() -> int:
        return sum(isinstance(each, Connection) for each in gc.get_objects())

    gc.collect()
    before = connections()
    gc.disable()  # reference counting alone must do it
    try:
        async with raw_client_to(home.edge.port) as one, raw_client_to(home.edge.port) as two:
            await one.log_in()
            await two.log_in(body={"client": "x"})
            await eventually(lambda: connections() == before)
            assert home.edge.metrics.back_connections == 2
            names = [task.get_coro().__qualname__ for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            assert "Connection._run" not in names
    finally:
        gc.enable()
    await eventually(lambda: len(home.home.gone) == 2)


async def test_parts_and_connections_are_counted(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in()
    only_session(home).outlet.write((BLANK, BLANK))
    async with raw_client_to(home.edge.port) as other:
        text = (await other.ask("GET", "/metrics")).body.decode()
    assert 'flash_parts_written_total{part="blank"} 2.0' in text
    assert "flash_back_connections_open 1.0" in text
    assert "flash_connections_open 2.0" in text
    assert 'flash_http_requests_total{route="POST /v1/back-connection",status="200"} 1.0' in text
