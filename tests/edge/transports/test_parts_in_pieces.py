"""A part whose body is written in pieces: its client reads the same bytes as if it had been written whole."""

import asyncio
from typing import cast

import pytest

from edge.transports.framing import EVENT_STREAM, MULTIPART, Framing
from servers.sessions.parts import Part
from tests.edge.conftest import RunningHome
from tests.edge.raw_client import ANN, RawClient
from tests.edge.stand_ins import part

BODY = b'{"contacts":[' + b",".join(b'{"uid":%d}' % uid for uid in range(5_000)) + b"]}"
PIECES = [BODY[start : start + 1_000] for start in range(0, len(BODY), 1_000)]


@pytest.mark.parametrize("framing", [MULTIPART, EVENT_STREAM], ids=lambda framing: framing.name)
def test_the_bytes_are_those_of_a_whole_part(framing: Framing):
    assert framing.begin("welcome", len(BODY)) + BODY + framing.after == framing.frame([Part("welcome", BODY)])


@pytest.mark.parametrize("accept", ["multipart/x-mixed-replace", "text/event-stream"])
async def test_a_back_connection_sends_it_and_goes_on(home: RunningHome, raw_client: RawClient, accept: str):
    raw_client.request("POST", "/v1/back-connection", None, {**ANN, "Accept": accept})
    await raw_client.head()
    await raw_client.until(b"\r\n--flash\r\n" if accept.startswith("multi") else b"\n\n")
    (session,) = home.home.sessions.values()
    before = home.edge.metrics.parts["welcome"]
    session.outlet.begin_part("welcome", len(BODY))
    for piece in PIECES:
        session.outlet.write_body(piece)
    session.outlet.write((part("done"),))
    whole = (MULTIPART if accept.startswith("multi") else EVENT_STREAM).frame([Part("welcome", BODY), part("done")])
    sent = await raw_client.exactly(len(whole))
    assert sent[sent.index(b"welcome") - 12 :] in whole
    assert home.edge.metrics.parts["welcome"] == before + 1


async def test_a_back_connection_says_at_once_when_it_is_full(home: RunningHome, raw_client: RawClient):
    """A job that writes piece after piece must know it before the turn of the loop ends."""
    await raw_client.log_in()
    cast(asyncio.Transport, raw_client.writer.transport).pause_reading()
    (session,) = home.home.sessions.values()
    session.outlet.begin_part("welcome", 10**9)
    written = 0
    while session.outlet.writable:
        session.outlet.write_body(b"x" * 10_000)
        written += 1
    assert written < 10**9 / 10_000


async def test_a_poll_gets_it_whole(home: RunningHome, raw_client: RawClient):
    opened = (await raw_client.ask("POST", "/v1/parts", {}, ANN)).json
    (session,) = home.home.sessions.values()
    session.outlet.begin_part("contacts", len(BODY))
    for piece in PIECES[:-1]:
        session.outlet.write_body(piece)
    asked = {"session": opened["session"], "wait_s": 0}
    assert (await raw_client.ask("POST", "/v1/parts", asked, ANN)).json["parts"] == []
    session.outlet.write_body(PIECES[-1])
    ((got),) = (await raw_client.ask("POST", "/v1/parts", asked, ANN)).json["parts"]
    assert (got["part"], len(got["body"]["contacts"])) == ("contacts", 5_000)
