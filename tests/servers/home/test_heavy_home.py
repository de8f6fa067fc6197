"""h3 is enrolled, and asks and says much. Rule: what it costs the others is bounded by count and size, whatever it sends."""

from typing import Any

import pytest
import structlog
from msgspec import msgpack

from domain.errors import Unavailable
from servers.messaging.heartbeats import MOST_BYTES, PURPOSE, Beat
from servers.messaging.private_questions import MOST_ANSWER_BYTES, MOST_QUESTION_BYTES, PrivateAnswers, PrivateRequests
from servers.messaging.questions import AskPresence, home_key
from servers.trust.trust import Trust
from tests.servers.homes import Town
from tests.servers.strangers import ask_as
from tests.support.waiting import eventually


class Through:
    """Carries questions to the answers of h1, as the user of `asker`, and counts what comes."""

    def __init__(self, town: Town, asker: str) -> None:
        self.answers = town.homes["h1"].lifecycle.answers
        self.asker = asker
        self.came: list[int] = []

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        answer = await self.answers.answer(body, self.asker)
        self.came.append(len(answer))
        return answer

    async def ask(self, trust: Trust, question: Any) -> bytes:
        requests = PrivateRequests(self, trust, lambda name: None, lambda card: None)  # type: ignore[arg-type]
        return await requests.request(home_key("h1"), msgpack.encode(question), 1.0)


async def test_a_question_beyond_the_bound_gets_one_clear_error_and_is_not_opened(town: Town, liar: Trust) -> None:
    await ask_as(liar, town.broker, "h1", AskPresence([1]))
    through, opened = Through(town, "h3"), town.homes["h1"].lifecycle.answers
    with pytest.raises(Unavailable, match="longer than"):
        await through.ask(liar, {"ask": "presence", "uids": list(range(300_000))})
    assert (len(through.came), through.came[0] < 200, opened.refused) == (1, True, 1)
    with pytest.raises(Unavailable, match="not understood"):
        await through.ask(liar, {"ask": "presence", "uids": [1] * 10_001})
    with pytest.raises(Unavailable, match="not understood"):
        await through.ask(liar, {"ask": "health"})


async def test_who_is_asked_about_often_is_answered_once(town: Town, liar: Trust) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.opens()
    await bob.opens()
    await bob.adds(ann)
    await town.settled()
    told = await ask_as(town.homes["h2"].lifecycle.trust, town.broker, "h1", AskPresence([ann.uid] * 10_000))
    assert [user[0] for user in told["users"]] == [ann.uid]
    assert MOST_QUESTION_BYTES > 5 * 10_000


async def test_made_up_names_in_questions_are_wanted_by_nobody(town: Town, liar: Trust) -> None:
    wanted: list[str] = []
    own = town.homes["h1"].lifecycle.answers
    answers = PrivateAnswers(own.trust, own.handle, own.openly, own.learn, wanted.append)
    for number in range(1_000):
        head = msgpack.encode([f"made-up-{number}", "h1", b"n" * 16, town.clock()])
        told = msgpack.decode(await answers.answer(msgpack.encode({"ask": "boxed", "head": head, "box": b"?"}), "h3"))
        assert "names another server" in told["refused"]
    assert wanted == []


async def test_an_answer_beyond_the_bound_is_not_read(town: Town, liar: Trust) -> None:
    class Answers:
        async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
            return b"\xc0" * (MOST_ANSWER_BYTES + 1)

    requests = PrivateRequests(Answers(), town.homes["h1"].lifecycle.trust, lambda name: None, lambda card: None)  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="bytes"):
        await requests.request(home_key("h2"), b"\x80", 1.0)


async def test_a_home_that_names_another_run_with_each_heartbeat_is_asked_once(town: Town, liar: Trust) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.opens()
    await bob.opens()
    await ann.adds(bob)
    await town.settled()
    peers, true = town.homes["h1"].lifecycle.peers, town.homes["h2"].lifecycle.trust
    before = peers.left_out
    with structlog.testing.capture_logs() as logs:
        for number in range(1_000):
            await town.broker.send_heartbeat(true.identity.signed(PURPOSE, Beat("h2", f"run {number}", town.clock(), number)))
        await town.broker.send_heartbeat(b"\x00" * (MOST_BYTES + 1))
        await eventually(lambda: peers.refused >= 1)
    assert sum(line["event"] == "peer.up" for line in logs) <= 1
    assert peers.is_up("h2")
    assert peers.left_out >= before
