"""Requests of one asker are bounded. Rule: whoever asks without end gets no answer to the rest, and everybody else does."""

import asyncio

import structlog

from broker.answering import Answering, AnsweringConfig
from tests.servers.homes import Clock


def test_one_asker_takes_a_share_and_leaves_the_rest_to_others() -> None:
    answers = Answering(AnsweringConfig(most=10, most_of_one=4, per_s=100), Clock())
    assert sum(answers.takes("h3", "home.h1") for _ in range(20)) == 4
    assert sum(answers.takes("h2", "home.h1") for _ in range(20)) == 4
    assert sum(answers.takes("h4", "home.h1") for _ in range(20)) == 2
    answers.done("h3")
    assert answers.takes("h3", "home.h1")
    assert answers.left_out == 50


def test_what_one_asker_has_waiting_is_bounded_in_bytes_and_few_lines_are_written_of_it() -> None:
    answers = Answering(AnsweringConfig(most_bytes_of_one=1_000), Clock())
    with structlog.testing.capture_logs() as logs:
        assert sum(answers.takes("h3", "home.h1", 100) for _ in range(10_000)) == 10
    assert answers.takes("h2", "home.h1", 100)
    assert 1 <= sum(line["event"] == "broker.request_dropped" for line in logs) <= 20
    answers.done("h3", 100)
    assert answers.takes("h3", "home.h1", 100)


async def test_who_asks_too_fast_waits_and_nobody_else_does() -> None:
    """Nothing that an honest server asks is lost: a storm of it is answered later."""
    answers = Answering(AnsweringConfig(per_s=1_000, burst=5))
    order: list[str] = []

    async def asks(asker: str) -> None:
        assert answers.takes(asker, "home.h1")

        async def handle(body: bytes, asker: str) -> bytes:
            order.append(asker)
            return b""

        await answers.in_turn(asker)
        assert await answers.answer(asker, "home.h1", handle, b"") == b""
        answers.done(asker)

    await asyncio.gather(*(asks("h3") for _ in range(20)), asks("h2"))
    assert order.count("h3") == 20
    assert order.index("h2") == 5, "behind the burst, and before the rest"


async def test_a_handler_that_fails_for_one_asker_again_and_again_fills_no_log() -> None:
    answers = Answering()

    async def raises(body: bytes, asker: str) -> bytes:
        raise ValueError

    with structlog.testing.capture_logs() as logs:
        for _ in range(200):
            assert await answers.answer("h3", "home.h1", raises, b"") is None
    assert sum(line["event"] == "broker.request_failed" for line in logs) == 20
