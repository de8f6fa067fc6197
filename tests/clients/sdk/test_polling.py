"""Listening by long polls, at a scripted home: what rides on a poll, and what becomes of answers that get lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flash_sdk import Blank, Disconnected, FlashClient, Goodbye, Message, Receipt, Unauthorized, Welcome
from tests.clients.sdk.peer import AT, Peer, message
from tests.clients.sdk.polls import Polls
from tests.clients.sdk.test_listen import next_of
from tests.support.waiting import eventually


@pytest.fixture
async def polls(peer: Peer) -> AsyncIterator[Polls]:
    async with Polls(peer) as polls:
        yield polls


def receipt(seq: int) -> dict[str, Any]:
    """The body of a receipt."""
    return {"seq": seq, "id": f"x{seq}", "to": 2, "state": "delivered", "at": AT, "why": None}


async def test_a_popup_and_its_acknowledgement_ride_on_polls(polls: Polls, ann: FlashClient) -> None:
    events = ann.listen(framing="poll")
    asked = asyncio.ensure_future(next_of(events, Message))
    first = await polls.next()
    assert first.body == {"session": None, "upto": 0, "wait_s": 0, "client": "flash-sdk/0.1.0"}
    first.welcome("s1")
    second = await polls.next()
    assert second.body == {"session": "s1", "upto": 0, "wait_s": 25.0}
    second.answer("s1", ("message", message(1, "one")), ("message", message(2, "two")))
    assert (await asked).text == "one"
    assert (await next_of(events, Message)).text == "two"
    more = asyncio.ensure_future(next_of(events, Message))
    third = await polls.next()
    assert third.body["upto"] == 2
    third.answer("s1", ("weather", {"sunny": True}), ("message", message(3, "three")))
    assert (await more).text == "three"
    assert polls.peer.bodies("/v1/acks") == []


async def test_what_is_processed_while_a_poll_waits_is_acknowledged_by_itself(polls: Polls, ann: FlashClient) -> None:
    events = ann.listen(framing="poll")
    asked = asyncio.ensure_future(next_of(events, Message))
    (await polls.next()).welcome("s1")
    (await polls.next()).answer("s1", ("message", message(1)))
    await asked
    waiting = await polls.next()  # the consumer takes its time
    assert waiting.body["upto"] == 0
    asked = asyncio.ensure_future(next_of(events, Message))
    await polls.peer.acked(1)
    waiting.answer("s1", ("message", message(2)))
    await asked


async def test_an_empty_answer_is_a_blank_and_the_next_poll_its_answer(polls: Polls, ann: FlashClient) -> None:
    events = ann.listen(framing="poll", blanks=True)
    asked = asyncio.ensure_future(next_of(events, Blank))
    (await polls.next()).welcome("s1")
    (await polls.next()).answer("s1")
    await asked
    more = asyncio.ensure_future(next_of(events, Receipt))
    (await polls.next()).answer("s1", ("receipt", receipt(1)))
    await more
    assert polls.peer.bodies("/v1/acks") == []


@pytest.mark.parametrize("how", ["cut", "proxy"])
async def test_after_a_lost_answer_it_begins_anew_and_shows_nothing_twice(polls: Polls, ann: FlashClient, how: str) -> None:
    events = ann.listen(framing="poll")
    asked = asyncio.ensure_future(next_of(events, Message))
    (await polls.next()).welcome("s1")
    (await polls.next()).answer("s1", ("message", message(1, "one")))
    assert (await asked).text == "one"
    gone = asyncio.ensure_future(next_of(events, Disconnected))
    poll = await polls.next()
    assert poll.body["upto"] == 1
    if how == "cut":
        poll.cut()
    else:
        poll.refuse(504)
    assert (await gone).reason == ("lost" if how == "cut" else "unreachable")
    asked = asyncio.ensure_future(next_of(events, Message))
    poll = await polls.next()
    assert poll.body == {"session": None, "upto": 1, "wait_s": 0, "client": "flash-sdk/0.1.0", "replaces": "s1"}
    poll.welcome("s2", ("message", message(1, "one")), ("message", message(2, "two")))
    assert (await asked).text == "two"


async def test_a_home_that_says_later_is_asked_the_same_again(polls: Polls, ann: FlashClient) -> None:
    events = ann.listen(framing="poll")
    asked = asyncio.ensure_future(next_of(events, Message))
    (await polls.next()).welcome("s1")
    poll = await polls.next()
    poll.refuse(503, "unavailable")
    again = await polls.next()
    assert again.body == poll.body
    again.answer("s1", ("message", message(1)))
    await asked


async def test_a_home_that_forgot_the_session_gets_a_new_one(polls: Polls, ann: FlashClient) -> None:
    events = ann.listen(framing="poll")
    asked = asyncio.ensure_future(next_of(events, Disconnected))
    (await polls.next()).welcome("s1")
    (await polls.next()).refuse(409, "unknown_session")
    assert (await asked).reason == "session"
    asked_next = asyncio.ensure_future(next_of(events, Welcome))
    (await polls.next()).welcome("s2")
    assert (await asked_next).session == "s2"


async def test_a_home_that_is_away_is_tried_again_and_a_refused_token_ends_it(polls: Polls, ann: FlashClient) -> None:
    events = ann.listen(framing="poll")
    asked = asyncio.ensure_future(next_of(events, Disconnected))
    (await polls.next()).cut()
    assert (await asked).reason == "unreachable"
    asked = asyncio.ensure_future(next_of(events, Disconnected))
    (await polls.next()).answer("s1")
    assert (await asked).reason == "protocol", "an answer without a welcome is no login"
    last = asyncio.ensure_future(next_of(events, Welcome))
    (await polls.next()).refuse(401, "unauthorized")
    with pytest.raises(Unauthorized):
        await last


async def test_logging_off_ends_for_good_with_the_goodbye(polls: Polls, ann: FlashClient) -> None:
    events = ann.listen(framing="poll")
    asked = asyncio.ensure_future(next_of(events, Welcome))
    (await polls.next()).welcome("s1")
    await asked
    asked_last = asyncio.ensure_future(next_of(events, Goodbye))
    poll = await polls.next()
    await ann.logoff()
    poll.answer("s1", ("goodbye", {"reason": "logoff", "reconnect_after_s": None}))
    await asked_last
    assert [event async for event in events] == [Disconnected("goodbye", None)]


async def test_closing_acknowledges_and_logs_off_since_nobody_would_notice(polls: Polls, ann: FlashClient) -> None:
    async with ann.listen(framing="poll") as events:
        asked = asyncio.ensure_future(next_of(events, Receipt))
        (await polls.next()).welcome("s1", ("receipt", receipt(1)), ("receipt", receipt(2)))
        await asked
        await next_of(events, Receipt)
        poll = await polls.next()
    assert polls.peer.bodies("/v1/acks") == [{"session": "s1", "upto": 1}], "the second is still in the consumer's hands"
    assert polls.peer.bodies("/v1/logoff") == [{"session": "s1"}]
    await eventually(lambda: poll.dropped)
