"""Whole commands as real processes against the scripted peer: what is sent, what is printed, how each ends."""

import asyncio
import os

import pytest
from aiohttp import web

from tests.clients.sdk.peer import AT, Peer, contact
from tests.clients.terminal.conftest import Terminal
from tests.support.waiting import eventually


async def test_ann_registers_finds_bob_and_sends_him_a_popup(peer: Peer, terminal: Terminal) -> None:
    added = await terminal.run("user", "add", "ann", "--full-name", "Ann Lee", "--city", "Miami")
    assert added == (0, "registered ann (uid 1) at h1\n", "")
    assert peer.bodies("/v1/users")[0]["profile"] == {"full_name": "Ann Lee", "city": "Miami"}

    found = await terminal.run("user", "find", "lee", "--field", "city=miami")
    assert found.out == "ann  Ann Lee  Miami  @h1\nbob  @h1\n"

    sent = await terminal.run("send", "Bob", "pop over?", "--urgent", "--reply-to", "x1")
    body = peer.bodies("/v1/messages")[0]
    assert sent == (0, f"accepted {body['id']}\n", "")
    assert (body["to"], body["text"], body["urgent"], body["in_reply_to"]) == (2, "pop over?", True, "x1")
    assert list(peer.contacts) == [2]

    listed = await terminal.run("contacts")
    assert listed.out == "bob  online  Bob\n"
    removed = await terminal.run("contacts", "remove", "bob")
    assert removed == (0, "bob is off your contact list\n", "")


async def test_the_commands_after_a_login_are_for_that_user(peer: Peer, terminal: Terminal) -> None:
    await terminal.run("user", "add", "ann")
    assert (await terminal.run("login", "bob")).out.startswith("logged in as bob at h1 until 2030-01-02")
    assert await terminal.run("status", "away", "--note", "lunch") == (0, "you are away\n", "")
    assert peer.headers[-1]["Authorization"] == "Bearer token-of-bob"
    await terminal.run("status", "dnd", "--as", "ann")
    assert peer.headers[-1]["Authorization"] == "Bearer token-of-ann"


async def test_send_wait_takes_nothing_from_other_windows_and_reports_delivery(peer: Peer, terminal: Terminal) -> None:
    await terminal.run("user", "add", "ann")
    sending = await terminal.start("send", "bob", "hi", "--wait")
    line = await peer.line()
    await line.welcome()
    await line.message(1, "someone else's popup")
    await eventually(lambda: peer.bodies("/v1/messages"))
    await line.receipt(2, peer.bodies("/v1/messages")[0]["id"])
    await eventually(lambda: peer.bodies("/v1/logoff"))
    ended = await sending.end()
    assert (ended.code, ended.out.splitlines()[1:]) == (0, ["delivered"])
    assert {body["upto"] for body in peer.bodies("/v1/acks")} <= {0}


async def test_send_wait_says_when_ones_own_popups_stand_before_the_receipt(peer: Peer, terminal: Terminal) -> None:
    await terminal.run("user", "add", "ann")
    sending = await terminal.start("send", "bob", "hi", "--wait")
    line = await peer.line()
    await line.welcome()
    for seq in range(1, 65):  # more a home does not send before some are acknowledged
        await line.message(seq)
    ended = await sending.end()
    assert ended.code == 1
    assert ended.err == "flash: accepted; the receipt waits behind your own 64 oldest popups: see them first, with flash listen\n"


async def test_a_bounce_is_told_with_its_reason(peer: Peer, terminal: Terminal) -> None:
    await terminal.run("user", "add", "ann")
    sending = await terminal.start("send", "bob", "hi", "--wait")
    line = await peer.line()
    await line.welcome()
    await eventually(lambda: peer.bodies("/v1/messages"))
    id_ = peer.bodies("/v1/messages")[0]["id"]
    await line.part("receipt", id=id_, to=2, state="bounced", at=AT, why="mailbox full")
    ended = await sending.end()
    assert (ended.code, ended.err) == (1, "flash: bounced: mailbox full\n")


async def test_listen_prints_line_by_line_and_ctrl_c_logs_off(peer: Peer, terminal: Terminal) -> None:
    await terminal.run("user", "add", "ann")
    listening = await terminal.start("listen", "--done")
    line = await peer.line()
    assert line.hello["client"] == "terminal/1.0"
    await line.welcome(contacts=[contact(2, "bob", "away")])
    assert (await listening.line()).endswith(" * online; bob away")
    await line.message(1, "line one\n\x1b[2Jline two")
    assert await listening.line() == "03:04:05 bob [m1] line one\\n\\x1b[2Jline two"
    await eventually(lambda: ("POST", "/v1/messages/m1/done", None) in peer.calls)
    await peer.acked(1)
    change = {"uid": 2, "status": "online", "since": None, "note": "\x07back", "reason": "login", "notify": False}
    await line.part("presence", changes=[change])
    assert (await listening.line()).endswith(" * bob is online (\\x07back)")
    await line.receipt(2, "x9")
    assert (await listening.line()).endswith(" * your message x9 to bob: delivered")
    listening.interrupt()
    ended = await listening.end()
    assert ended == (0, "", "")
    assert peer.bodies("/v1/logoff") == [{"session": "s1"}]
    assert peer.bodies("/v1/acks")[-1] == {"session": "s1", "upto": 2}


async def test_listen_that_is_told_twice_to_end_still_logs_off(peer: Peer, terminal: Terminal) -> None:
    """As `timeout` and some service managers do: the program, and then its whole group."""
    await terminal.run("user", "add", "ann")
    listening = await terminal.start("listen")
    line = await peer.line()
    await line.welcome()
    await listening.line()
    for _ in range(2):
        listening.process.terminate()
    assert await listening.end() == (0, "", "")
    assert peer.bodies("/v1/logoff") == [{"session": "s1"}]


async def test_a_listener_killed_with_a_popup_on_the_screen_does_not_show_it_again(peer: Peer, terminal: Terminal) -> None:
    await terminal.run("user", "add", "ann")
    listening = await terminal.start("listen")
    line = await peer.line()
    await line.welcome()
    await listening.line()
    for _ in range(1000):
        peer.lose_answer("/v1/acks")
    await line.message(1, "one")
    assert (await listening.line()).endswith("one")
    await eventually(lambda: peer.bodies("/v1/acks"))
    listening.process.kill()
    await listening.end()
    again = await terminal.start("listen")
    line = await peer.line()
    await line.welcome("s2", "replayed")
    await again.line()
    await line.message(1, "one")
    await line.message(2, "two")
    assert (await again.line()).endswith("two")


async def test_listen_says_that_it_tries_again(peer: Peer, terminal: Terminal) -> None:
    await terminal.run("user", "add", "ann")
    listening = await terminal.start("listen")
    line = await peer.line()
    await line.welcome()
    await listening.line()
    line.cut()
    line = await peer.line()
    await line.welcome("s2")
    assert "online" in await listening.line()
    await line.part("goodbye", reason="closed", reconnect_after_s=None)
    line.end()
    ended = await listening.end()
    assert ended.code == 0
    assert "flash: the connection was lost; trying again in" in ended.err


async def test_a_refusal_ends_with_1_and_the_servers_reason(peer: Peer, terminal: Terminal) -> None:
    peer.answer("/v1/users", 409, code="handle_taken", detail="Another user has this handle.\x1b[2J")
    refused = await terminal.run("user", "add", "ann")
    assert refused == (1, "", "flash: Another user has this handle.\\x1b[2J (handle_taken)\n")
    await terminal.run("login", "ann")
    peer.answer("/v1/back-connection", 401, code="unauthorized", detail="The token is revoked.")
    refused = await terminal.run("listen")
    assert refused.code == 1
    assert refused.err == "flash: The token is revoked. (unauthorized) - log in again with `flash login HANDLE`\n"
    unknown = await terminal.run("send", "nobody", "hi")
    assert unknown == (1, "", "flash: There is no such user. (unknown_user)\n")


@pytest.mark.parametrize("command", [["login", "ann"], ["listen"], ["send", "bob", "hi"]], ids=lambda command: command[0])
async def test_an_unreachable_server_ends_with_1_and_one_sentence(peer: Peer, terminal: Terminal, command: list[str]) -> None:
    await terminal.run("login", "ann")
    for path in ("/v1/tokens", "/v1/back-connection", "/v1/contacts"):
        for _ in range(3):
            peer.lose_answer(path)
    ended = await terminal.run(*command)
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.startswith("flash: no answer from ")
    assert ended.err.count("\n") == 1


async def test_output_that_nobody_reads_any_more_is_no_traceback(peer: Peer, terminal: Terminal) -> None:
    await terminal.run("user", "add", "ann")
    users = [peer.user("ann")] * 5000
    peer.say("/v1/users", lambda: web.json_response({"users": users, "next": None}))
    ours, theirs = os.pipe()
    finding = await terminal.start("user", "find", "lee", stdout=theirs)
    os.close(theirs)
    await asyncio.to_thread(os.read, ours, 1)
    os.close(ours)
    assert finding.process.stderr is not None
    assert await asyncio.wait_for(finding.process.stderr.read(), 20) == b""
    assert await finding.process.wait() == 1


async def test_a_terminal_without_unicode_still_shows_something(peer: Peer, terminal: Terminal) -> None:
    peer.users["ann"] = 1
    peer.profiles["ann"] = {"full_name": "Ann ☃"}
    await terminal.run("login", "ann")
    found = await terminal.run("user", "find", "ann", PYTHONIOENCODING="ascii")
    assert found.out.splitlines()[0] == "ann  Ann \\u2603  @h1"
