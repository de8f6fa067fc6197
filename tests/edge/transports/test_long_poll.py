"""The long poll: what a poll brings and when, what becomes of sessions that nobody asks for, and that no part is taken by the dead."""

import asyncio
import socket
from typing import Any

import msgspec
import pytest

from domain.errors import TooManyRequests, Unavailable
from edge.contracts import answers
from edge.transports.long_poll import MAX_BUFFERED_BYTES, MAX_BUFFERED_PARTS, MAX_FAREWELLS, PollOutlet
from servers.sessions.parts import BLANK
from servers.sessions.sessions import Hello
from tests.edge.conftest import RunningHome
from tests.edge.raw_client import ANN, BOB, RawClient, Response, raw_client_to
from tests.edge.stand_ins import StandInSession, part, welcome_of
from tests.support.waiting import eventually


async def poll(
    raw_client: RawClient, session: str | None = "s1", upto: int = 0, wait_s: float = 30, headers: dict[str, str] = ANN
) -> Response:
    """One poll."""
    return await raw_client.ask("POST", "/v1/parts", {"session": session, "upto": upto, "wait_s": wait_s}, headers)


def names(answer: Response) -> list[str]:
    """What parts came, after checking that the answer is as described."""
    assert answer.status == 200, answer
    msgspec.json.decode(answer.body, type=answers.Parts)
    return [each["part"] for each in answer.json["parts"]]


def numbers(answer: Response) -> list[int]:
    """The mailbox numbers of the messages that came."""
    return [each["body"]["seq"] for each in answer.json["parts"] if each["part"] == "message"]


def message(seq: int, text: str = "") -> Any:
    """A message part."""
    return part("message", {"seq": seq, "text": text}, seq)


def waits(session: StandInSession) -> bool:
    """Whether a poll waits at this session."""
    assert isinstance(session.outlet, PollOutlet)
    return session.outlet.awaited


def reset(raw_client: RawClient) -> None:
    """Leave at once, without reading."""
    linger_zero = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    raw_client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
    raw_client.writer.transport.abort()


def one_is_gone(home: RunningHome) -> bool:
    """Whether the server has noticed that a client left while its request is being handled."""
    return any(connection.gone or connection.half_closed for connection in home.edge.http.open.all)


@pytest.fixture
async def session(home: RunningHome, raw_client: RawClient) -> StandInSession:
    """Ann's, just opened."""
    assert names(await poll(raw_client, None)) == ["welcome"]
    return home.home.sessions["s1"]


async def test_the_first_poll_logs_in_and_answers_at_once(home: RunningHome, raw_client: RawClient):
    answer = await poll(raw_client, None, upto=17)
    assert answer.json == {"session": "s1", "parts": [{"part": "welcome", "body": msgspec.json.decode(welcome_of("s1", 1))}]}
    assert answer.headers["cache-control"] == "no-store"
    assert home.home.sessions["s1"].hello == Hello("", True, None, 17)


async def test_every_field_is_optional_and_a_client_may_say_more_of_itself(home: RunningHome, raw_client: RawClient):
    assert names(await raw_client.ask("POST", "/v1/parts", headers=ANN)) == ["welcome"]
    assert home.home.sessions["s1"].hello == Hello("", True, None, None)
    body = {"session": None, "upto": 3, "client": "tk/1.0", "replaces": "s1"}
    assert names(await raw_client.ask("POST", "/v1/parts", body, ANN)) == ["welcome"]
    assert home.home.sessions["s2"].hello == Hello("tk/1.0", True, "s1", 3)


async def test_what_waits_comes_at_once_and_once(session: StandInSession, raw_client: RawClient):
    session.outlet.write((message(1), message(2)))
    session.outlet.write((part("presence", {"changes": []}),))
    session.sent = 2
    assert names(await poll(raw_client)) == ["message", "message", "presence"]
    assert names(await poll(raw_client, upto=2, wait_s=0)) == []
    assert session.acked == 2


async def test_a_poll_waits_for_the_first_part(session: StandInSession, raw_client: RawClient):
    asked = asyncio.ensure_future(poll(raw_client))
    await eventually(lambda: waits(session))
    session.outlet.write((message(1),))
    assert numbers(await asked) == [1]


async def test_a_poll_waits_no_longer_than_it_said_nor_than_a_blank_interval(
    home: RunningHome, session: StandInSession, raw_client: RawClient
):
    assert names(await poll(raw_client, wait_s=0.01)) == []
    home.home.blank_s = 0.01
    assert names(await poll(raw_client, wait_s=60)) == []


async def test_blanks_neither_wake_nor_wait(session: StandInSession, raw_client: RawClient):
    session.outlet.write((BLANK,))
    asked = asyncio.ensure_future(poll(raw_client))
    await eventually(lambda: waits(session))
    session.outlet.write((BLANK,))
    assert waits(session)
    session.outlet.write((BLANK, message(1), BLANK))
    assert names(await asked) == ["message"]


async def test_a_poll_acknowledges_before_it_waits(session: StandInSession, raw_client: RawClient):
    session.sent = 17
    asked = asyncio.ensure_future(poll(raw_client, upto=17))
    await eventually(lambda: waits(session))
    assert session.acked == 17
    session.outlet.write((message(18),))
    await asked


async def test_a_newer_poll_ends_the_older_one(home: RunningHome, session: StandInSession, raw_client: RawClient):
    async with raw_client_to(home.edge.port) as other:
        older = asyncio.ensure_future(poll(raw_client))
        await eventually(lambda: waits(session))
        newer = asyncio.ensure_future(poll(other))
        assert names(await older) == []
        await eventually(lambda: waits(session))
        session.outlet.write((message(1),))
        assert numbers(await newer) == [1]


async def test_the_newer_poll_gets_the_parts_even_when_the_older_one_acknowledges_longer(
    home: RunningHome, session: StandInSession, raw_client: RawClient
):
    async with raw_client_to(home.edge.port) as other:
        home.home.gate = gate = asyncio.Event()
        older = asyncio.ensure_future(poll(raw_client))
        await eventually(lambda: home.home.waiting == 1)
        home.home.gate = None
        newer = asyncio.ensure_future(poll(other))
        await eventually(lambda: waits(session))
        gate.set()
        assert names(await older) == []
        session.outlet.write((message(1),))
        assert numbers(await newer) == [1]


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_the_dead_take_no_parts(home: RunningHome, session: StandInSession, raw_client: RawClient, how: str):
    async with raw_client_to(home.edge.port) as dying:
        dying.request("POST", "/v1/parts", {"session": "s1"}, ANN)
        await eventually(lambda: waits(session))
        if how == "reset":
            reset(dying)
        else:
            dying.writer.close()
        await eventually(lambda: one_is_gone(home))
    session.outlet.write((message(1),))
    assert numbers(await poll(raw_client)) == [1]
    assert not home.home.gone, "its next poll may come from another network"


async def test_a_client_that_leaves_during_the_login_is_lost(home: RunningHome):
    home.home.gate = asyncio.Event()
    async with raw_client_to(home.edge.port) as raw_client:
        raw_client.request("POST", "/v1/parts", {}, ANN)
        await eventually(lambda: home.home.waiting)
        reset(raw_client)
        await eventually(lambda: one_is_gone(home))
    home.home.gate.set()
    await eventually(lambda: home.home.gone)


async def test_only_its_user_may_poll_a_session(home: RunningHome, session: StandInSession, raw_client: RawClient):
    session.outlet.write((message(1),))
    for headers, id in ((BOB, "s1"), (ANN, "s9")):
        answer = await poll(raw_client, id, upto=1, headers=headers)
        assert (answer.status, answer.code) == (409, "unknown_session")
    assert (session.acked, home.home.calls) == (0, 1)
    async with raw_client_to(home.edge.port) as other:
        waiting = asyncio.ensure_future(poll(other))
        assert numbers(await waiting) == [1]


async def test_a_back_connection_cannot_be_polled(home: RunningHome, raw_client: RawClient):
    async with raw_client_to(home.edge.port) as stream:
        welcome = await stream.log_in()
        answer = await poll(raw_client, welcome["session"], upto=5)
        assert (answer.status, answer.code) == (409, "unknown_session")
        assert home.home.sessions[welcome["session"]].acked == 0


async def test_a_logoff_says_goodbye_to_the_poll_that_waits(home: RunningHome, session: StandInSession, raw_client: RawClient):
    async with raw_client_to(home.edge.port) as other:
        asked = asyncio.ensure_future(poll(raw_client))
        await eventually(lambda: waits(session))
        assert (await other.ask("POST", "/v1/logoff", {"session": "s1"}, ANN)).status == 204
        assert names(await asked) == ["goodbye"]
        assert (await poll(raw_client)).code == "unknown_session"


async def test_a_goodbye_waits_for_the_next_poll(home: RunningHome, session: StandInSession, raw_client: RawClient):
    session.outlet.write((message(1),))
    assert (await raw_client.ask("POST", "/v1/logoff", {"session": "s1"}, ANN)).status == 204
    session.outlet.write((message(2),))
    assert not session.outlet.writable
    assert (await poll(raw_client, headers=BOB)).code == "unknown_session"
    assert names(await poll(raw_client)) == ["goodbye"], "what is in the mailbox comes again with the next session"
    assert (await poll(raw_client)).code == "unknown_session"


async def test_goodbyes_that_nobody_takes_are_not_kept_for_ever(home: RunningHome, session: StandInSession, raw_client: RawClient):
    for number in range(MAX_FAREWELLS + 1):
        assert names(await poll(raw_client, None)) == ["welcome"]
        outlet = home.home.sessions[f"s{number + 2}"].outlet
        outlet.write((part("goodbye"),))
        outlet.close()
    assert (await poll(raw_client, "s2")).code == "unknown_session"
    assert names(await poll(raw_client, "s3")) == ["goodbye"]


async def test_a_session_that_is_dropped_is_lost_and_unknown(home: RunningHome, session: StandInSession, raw_client: RawClient):
    asked = asyncio.ensure_future(poll(raw_client))
    await eventually(lambda: waits(session))
    session.outlet.write((message(1),))
    session.outlet.abort()
    assert (await asked).code == "unknown_session"
    await eventually(lambda: home.home.gone == [session])
    session.outlet.write((message(2),))  # must not raise
    session.outlet.close()
    session.outlet.abort()
    assert (await poll(raw_client)).code == "unknown_session"


async def test_a_session_closed_without_goodbye_is_unknown(session: StandInSession, raw_client: RawClient):
    asked = asyncio.ensure_future(poll(raw_client))
    await eventually(lambda: waits(session))
    session.outlet.close()
    assert (await asked).code == "unknown_session"


async def test_a_session_that_nobody_asks_for_keeps_little(session: StandInSession, raw_client: RawClient):
    for parts, bound in (((message(1, "x" * 16_000),), MAX_BUFFERED_BYTES // 16_000 + 1), ((part("presence"),), MAX_BUFFERED_PARTS)):
        written, resumed = 0, session.resumed
        while session.outlet.writable:
            session.outlet.write(parts)
            written += 1
        assert written == bound
        assert session.resumed == resumed
        assert len(names(await poll(raw_client))) == written
        assert session.resumed == resumed + 1
        assert session.outlet.writable


async def test_between_polls_a_session_has_no_task_and_no_timer(session: StandInSession, raw_client: RawClient):
    names(await poll(raw_client, wait_s=0.01))
    assert not waits(session)
    tasks = [task.get_coro().__qualname__ for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert tasks == []


@pytest.mark.parametrize("body", [{"session": 5}, {"upto": -1}, {"wait_s": -1}, {"wait_s": 61}, {"wait_s": "x"}, {"x": 1}, []])
async def test_a_wrong_poll_is_refused(raw_client: RawClient, body: object):
    answer = await raw_client.ask("POST", "/v1/parts", body, ANN)
    assert (answer.status, answer.code) == (422, "invalid")


@pytest.mark.parametrize("refusal", [Unavailable(), TooManyRequests(), KeyError("x")])
async def test_a_refused_login_is_a_problem(home: RunningHome, raw_client: RawClient, refusal: Exception):
    home.home.refusal = refusal
    assert (await poll(raw_client, None)).code in ("unavailable", "too_many_requests", "internal")


async def test_an_acknowledgement_that_fails_takes_nothing(home: RunningHome, session: StandInSession, raw_client: RawClient):
    session.outlet.write((message(1),))
    home.home.refusal = Unavailable("The store is away.")
    assert (await poll(raw_client)).code == "unavailable"
    home.home.refusal = None
    assert numbers(await poll(raw_client)) == [1]


async def test_parts_are_counted(session: StandInSession, raw_client: RawClient):
    session.outlet.write((message(1), message(2)))
    await poll(raw_client)
    text = (await raw_client.ask("GET", "/metrics")).body.decode()
    assert 'flash_parts_written_total{part="message"} 2.0' in text
    assert 'flash_parts_written_total{part="welcome"} 1.0' in text
    assert 'flash_http_requests_total{route="POST /v1/parts",status="200"} 2.0' in text
    assert "flash_back_connections_open 0.0" in text
