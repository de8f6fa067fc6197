"""The calls, over a real socket: what goes out, what comes back, and what each failure is called."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from flash_sdk import FlashClient, NotAContact, Pace, ProtocolError, Refused, TryLater, Unauthorized, Unreachable
from tests.clients.sdk.peer import AT, PASSWORD, Peer

SOON = Pace(first_s=0.01, longest_s=0.05)


async def test_registering_gives_a_grant_to_act_with(peer: Peer) -> None:
    async with FlashClient(peer.url + "/") as client:
        grant = await client.register("carol", PASSWORD, {"full_name": "Carol Smith"})
        assert (grant.uid, grant.handle, grant.home.name) == (3, "carol", "h1")
        assert grant.expires_at.isoformat() == "2030-01-02T03:04:05.000006+00:00"
        assert grant.as_json()["expires_at"] == AT
        await client.contacts()
    assert peer.headers[-1]["Authorization"] == "Bearer token-of-carol"
    assert "Authorization" not in peer.headers[0]


async def test_no_repr_shows_a_token(ann: FlashClient) -> None:
    assert ann.grant.token not in repr(ann.grant)


async def test_a_search_goes_through_the_pages(peer: Peer, ann: FlashClient) -> None:
    page = {"users": [peer.user("ann")], "next": "a b&c"}
    peer.say("/v1/users", lambda: web.json_response(page))
    found = [user.handle async for user in ann.search("smith florida", full_name="bob jones", limit=1)]
    assert found == ["ann", "ann", "bob"]


async def test_a_search_that_goes_in_circles_ends(peer: Peer, ann: FlashClient) -> None:
    for _ in range(2):
        peer.say("/v1/users", lambda: web.json_response({"users": [], "next": "x"}))
    with pytest.raises(ProtocolError):
        [user async for user in ann.search("x")]


async def test_people_and_contacts(peer: Peer, ann: FlashClient) -> None:
    bob = await ann.by_handle("bob")
    added = await ann.add_contact(bob.uid, alias="Bobby", notify=True)
    assert (added.alias, added.notify, added.presence.status) == ("Bobby", True, "online")
    assert await ann.contacts() == [added]
    await ann.remove_contact(bob.uid)
    await ann.set_status("away", "lunch")
    assert peer.calls[-1] == ("PUT", "/v1/status", {"status": "away", "note": "lunch", "until": None})
    with pytest.raises(Refused, match="no such user"):
        await ann.by_handle("../x y")


async def test_a_refusal_carries_the_servers_own_words(peer: Peer, ann: FlashClient) -> None:
    peer.answer("/v1/messages", 403, code="not_a_contact", detail="Bob is not on your list.", uid=2)
    with pytest.raises(NotAContact) as caught:
        await ann.send(2, "hi")
    assert (caught.value.code, caught.value.status, caught.value.detail, caught.value.extra) == (
        "not_a_contact",
        403,
        "Bob is not on your list.",
        {"uid": 2},
    )
    peer.answer("/v1/contacts", 401, code="unauthorized", detail="A valid bearer token is needed.")
    with pytest.raises(Unauthorized):
        await ann.contacts()


async def test_a_send_is_repeated_under_its_own_id_until_it_is_answered(peer: Peer, ann: FlashClient) -> None:
    peer.lose_answer("/v1/messages")
    peer.answer("/v1/messages", 503, code="unavailable", detail="The store is away.")
    peer.answer("/v1/messages", 429, code="too_many_requests", detail="Slow down.")
    accepted = await ann.send(2, "hi")
    ids = [body["id"] for body in peer.bodies("/v1/messages")]
    assert ids == [accepted.id] * 4


async def test_a_send_gives_up_at_its_deadline_and_says_under_which_id(peer: Peer, ann: FlashClient) -> None:
    peer.answer("/v1/messages", 503, headers={"Retry-After": "60"}, code="unavailable", detail="The store is away.")
    with pytest.raises(TryLater) as caught:
        await ann.send(2, "hi", deadline_s=5)
    assert caught.value.retry_after_s == 60
    assert caught.value.extra["id"] == peer.bodies("/v1/messages")[0]["id"]


async def test_a_server_that_never_answers_is_unreachable(peer: Peer, ann: FlashClient) -> None:
    hold = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with FlashClient(url, timeout_s=0.05) as client:
        with pytest.raises(Unreachable, match="timed out"):
            await client.login("ann", PASSWORD)
    hold.set()
    server.close()


async def test_a_closed_port_is_unreachable_in_one_sentence() -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with FlashClient(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(Unreachable, match=f"no answer from http://127.0.0.1:{port}: "):
            await client.login("ann", PASSWORD)


@pytest.mark.parametrize("status", [302, 500, 403, 404, 407])
async def test_a_login_page_in_between_is_no_answer_of_flash(peer: Peer, ann: FlashClient, status: int) -> None:
    page = "<html>pay for the network</html>"
    peer.say("/v1/contacts", lambda: web.Response(status=status, text=page, content_type="text/html", headers={"Location": "http://x/"}))
    with pytest.raises(TryLater if status == 500 else ProtocolError, match=str(status)) as caught:
        await ann.contacts()
    assert getattr(caught.value, "code", None) == ("http_500" if status == 500 else None)


@pytest.mark.parametrize("body", ["", "[]", "{}", "not json", '{"contacts": 1}', '{"contacts": [{"uid": "x"}]}', "[" * 100_000])
async def test_nonsense_from_the_server_is_a_protocol_error(peer: Peer, ann: FlashClient, body: str) -> None:
    peer.say("/v1/contacts", lambda: web.Response(text=body, content_type="application/json"))
    if body in ("", "{}"):
        assert await ann.contacts() == []
    else:
        with pytest.raises(ProtocolError):
            await ann.contacts()


async def test_a_netrc_of_the_user_changes_nothing(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with FlashClient(peer.url, pace=SOON) as client:
        await client.login("ann", PASSWORD)
        await client.contacts()
    assert [headers.get("Authorization") for headers in peer.headers] == [None, "Bearer token-of-ann"]


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "http://", "http://h/?q=1"])
def test_what_is_no_url_is_said_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="not a server's URL"):
        FlashClient(url)


async def test_acting_for_nobody_is_a_mistake_of_the_program(peer: Peer) -> None:
    async with FlashClient(peer.url) as client:
        with pytest.raises(RuntimeError):
            await client.contacts()
    with pytest.raises(RuntimeError):
        await client.login("ann", PASSWORD)
