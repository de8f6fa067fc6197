"""Answers too long to be made at once: a contact list of a megabyte. Rule: pieces are counted where the home makes them."""

import asyncio
import json
from typing import cast

import pytest

from servers.sessions import views
from tests.edge.conftest import RunningHome
from tests.edge.raw_client import ANN, RawClient, raw_client_to
from tests.support.waiting import eventually

CONTACTS = 2_000
NAME = "N" * 5_000


@pytest.fixture(autouse=True)
def long_list(home: RunningHome) -> None:
    """Ten megabytes, which no socket buffer holds."""
    presence = views.Presence("offline", None, "")
    home.home.listed.update({uid: views.Contact(uid, f"u{uid}", NAME, None, False, presence) for uid in range(CONTACTS)})


async def chunks(raw_client: RawClient) -> bytes:
    """A body in chunks."""
    body = []
    while size := int((await raw_client.until(b"\r\n"))[:-2], 16):
        body.append(await raw_client.exactly(size))
        assert await raw_client.exactly(2) == b"\r\n"
    assert await raw_client.exactly(2) == b"\r\n"
    return b"".join(body)


def uids(body: bytes) -> list[int]:
    return [contact["uid"] for contact in json.loads(body)["contacts"]]


async def test_it_comes_whole_and_the_connection_goes_on(home: RunningHome, raw_client: RawClient):
    for _ in range(2):
        raw_client.request("GET", "/v1/contacts", headers=ANN)
        status, headers, _ = await raw_client.head()
        assert (status, headers["transfer-encoding"], headers["content-type"]) == (200, "chunked", "application/json")
        assert "content-length" not in headers
        assert uids(await chunks(raw_client)) == list(range(CONTACTS))
    assert (await raw_client.ask("GET", "/healthz")).status == 200


async def test_requests_that_follow_at_once_are_answered_behind_it(home: RunningHome, raw_client: RawClient):
    raw_client.request("GET", "/v1/contacts", headers=ANN)
    raw_client.request("GET", "/healthz")
    await raw_client.head()
    assert len(uids(await chunks(raw_client))) == CONTACTS
    assert (await raw_client.response()).status == 200


async def test_an_old_client_reads_to_the_end_of_the_connection(home: RunningHome, raw_client: RawClient):
    raw_client.request("GET", "/v1/contacts", headers=ANN, version="1.0")
    _, headers, _ = await raw_client.head()
    assert headers["connection"] == "close"
    assert "transfer-encoding" not in headers
    assert uids(await raw_client.rest()) == list(range(CONTACTS))


async def test_a_head_request_gets_no_body(home: RunningHome, raw_client: RawClient):
    raw_client.request("HEAD", "/v1/contacts", headers=ANN)
    assert (await raw_client.head())[0] == 200
    assert (await raw_client.ask("GET", "/healthz")).status == 200
    assert home.home.pieces == 0


async def test_no_more_is_made_than_the_client_reads(home: RunningHome, raw_client: RawClient):
    """A client that reads nothing holds what the sockets hold, some megabytes at most, and the high-water mark."""
    client = cast(asyncio.Transport, raw_client.writer.transport)
    client.pause_reading()
    raw_client.request("GET", "/v1/contacts", headers=ANN)
    made = 0
    while home.home.pieces != made or not made:
        made = home.home.pieces
        async with raw_client_to(home.edge.port) as another:
            assert (await another.ask("GET", "/healthz")).status == 200
    assert made < CONTACTS
    (connection,) = [each for each in home.edge.http.open.all if each.busy]
    assert connection.transport is not None
    assert connection.transport.get_write_buffer_size() < 65_536 + 2 * len(NAME)
    client.resume_reading()
    await raw_client.head()
    assert uids(await chunks(raw_client)) == list(range(CONTACTS))


async def test_nothing_is_made_for_a_client_that_has_gone(home: RunningHome, raw_client: RawClient):
    client = cast(asyncio.Transport, raw_client.writer.transport)
    client.pause_reading()
    raw_client.request("GET", "/v1/contacts", headers=ANN)
    await eventually(lambda: home.home.pieces)
    client.abort()
    await eventually(lambda: home.edge.metrics.connections() == 0)
    assert home.home.pieces < CONTACTS
