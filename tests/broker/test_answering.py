"""Requests of one asker are bounded. Rule: whoever asks without end gets no answer to the rest, and everybody else does."""

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


def test_so_many_a_second_of_one_asker_and_few_lines_of_them() -> None:
    clock = Clock()
    answers = Answering(AnsweringConfig(per_s=50), clock)
    taken = 0
    with structlog.testing.capture_logs() as logs:
        for _ in range(10_000):
            if answers.takes("h3", "home.h1"):
                taken += 1
                answers.done("h3")
    assert taken == 50
    assert answers.takes("h2", "home.h1")
    assert 1 <= sum(line["event"] == "broker.request_dropped" for line in logs) <= 20
    clock.now += 1.0
    assert answers.takes("h3", "home.h1")


async def test_a_handler_that_fails_for_one_asker_again_and_again_fills_no_log() -> None:
    answers = Answering()

    async def raises(body: bytes, asker: str) -> bytes:
        raise ValueError

    with structlog.testing.capture_logs() as logs:
        for _ in range(200):
            assert await answers.answer("h3", "home.h1", raises, b"") is None
    assert sum(line["event"] == "broker.request_failed" for line in logs) == 20
