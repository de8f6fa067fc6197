"""Plays a soak on two homes and a Global Server over a RabbitMQ of its own. Rule: every message is accounted for at the end.

A minute gives one `Minute`. RabbitMQ is killed every fourth minute. After the last minute everybody finishes what they do, everything
arrives, and one more `Minute`, which is `calm`, says what is left then.
"""

import asyncio
import contextlib
import functools
import random
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp

from bench.installation import Installation, real_installation
from bench.soak.life import Life
from bench.soak.samples import Sample, Watched, environment
from flash_sdk import FlashClient
from tests.faults.checker import doubled, invented, lost, out_of_order, settled, unreceipted, wrong_presence
from tests.faults.installation import PACE
from tests.faults.people import PASSWORD, Crowd
from tests.support.rabbitmq import PrivateRabbit

RESIDENTS = 6  # half of them at each home
OPS = "opal"
KILL_EVERY, KILL_AT, DOWN_S = 4, 2, 3.0  # in the middle of every fourth minute, the second one first
MINUTE_S = 60.0
CALM_S = 15.0  # until what is remembered for some seconds is forgotten
SETTLED_S = 180.0
ANSWERED = ("question 200", "question 400", "question 404", "question 503")  # the others while it has not read so far yet


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play. `python`: the interpreter that has the measured version; `audit`: whether somebody has the role `ops` and asks;
    `trace`: whether every allocation is followed, which takes three times as long; `fill`: as `Life.fill`, which takes some minutes."""

    minutes: int
    seed: int
    python: str = sys.executable
    audit: bool = True
    trace: bool = False
    fill: bool = False


@dataclass(slots=True)
class Minute:
    """What one minute gave; counts are of the whole run. `problems`: which promises were broken."""

    number: float
    seed: int
    samples: list[Sample]
    accepted: int = 0
    deeds: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    calm: bool = False
    problems: list[str] = field(default_factory=list)
    snapshots: dict[str, list[Path]] = field(default_factory=dict)  # by server, with `Plan.trace`


async def play(directory: Path, plan: Plan) -> AsyncGenerator[Minute, None]:
    """One minute after the other, and the calm. Raises `Missing` without RabbitMQ."""
    answers = directory / "answers"
    answers.mkdir(parents=True)
    rabbit = PrivateRabbit(directory / "rabbitmq")
    settings = {**PACE, "FLASH_INTEGRATORS": "", **environment(answers, plan.trace), **({"FLASH_OPS": OPS} if plan.audit else {})}
    with contextlib.ExitStack() as stack:
        stack.callback(rabbit.close)
        await asyncio.to_thread(rabbit.start)
        running = real_installation(directory / "flash", ("h1", "h2"), rabbit.url, rabbit.pids, tuple, plan.python, **settings)
        installation = stack.enter_context(running)
        ports = [installation.global_port, *installation.homes.values()]
        names = ["global", *installation.homes]
        watched = [Watched(*each, answers) for each in zip(names, installation.pids, ports, strict=True)]
        async with Crowd(f"http://127.0.0.1:{ports[0]}", secrets.token_hex(3)) as crowd:
            life = await _settle(installation, crowd, plan)
            if plan.fill:
                await life.fill()
            life.begin()
            try:
                async for minute in _minutes(plan, life, rabbit, watched):
                    yield minute
            finally:
                await life.end()
            problems = [f"{type(error).__name__}: {error}" for error in life.failed()] + await _account(life)
            await asyncio.sleep(CALM_S)
            calm = await _look(plan.minutes + 0.5, plan, life, watched)
            calm.calm, calm.problems = True, problems
            yield calm


async def _settle(installation: Installation, crowd: Crowd, plan: Plan) -> Life:
    residents = await crowd.settle_in(RESIDENTS)
    url = f"http://127.0.0.1:{installation.global_port}"
    cookie = await _sign_in_at_the_console(url) if plan.audit else ""
    homes = [f"http://127.0.0.1:{port}" for port in installation.homes.values()]
    return Life(url, homes, residents, random.Random(plan.seed), cookie)


async def _sign_in_at_the_console(url: str) -> str:
    async with FlashClient(url) as client, aiohttp.ClientSession() as http:
        await client.register(OPS, PASSWORD)
        form, ours = {"handle": OPS, "password": PASSWORD, "next": ""}, {"Sec-Fetch-Site": "same-origin", "Origin": url}
        async with http.post(f"{url}/ops/login", data=form, headers=ours, allow_redirects=False) as answer:
            return SimpleCookie(answer.headers["Set-Cookie"])["flash_ops"].value


async def _minutes(plan: Plan, life: Life, rabbit: PrivateRabbit, watched: Sequence[Watched]) -> AsyncGenerator[Minute, None]:
    start = time.monotonic()
    yield await _look(0, plan, life, watched)
    for number in range(1, plan.minutes + 1):
        if number % KILL_EVERY == KILL_AT:
            await asyncio.sleep(max(start + (number - 0.9) * MINUTE_S - time.monotonic(), 0))
            await asyncio.to_thread(rabbit.kill)
            await asyncio.sleep(DOWN_S)
            await asyncio.to_thread(rabbit.start)
            life.deeds["kills of RabbitMQ"] += 1
        await asyncio.sleep(max(start + number * MINUTE_S - time.monotonic(), 0))
        yield await _look(number, plan, life, watched)
        if life.failed():
            return


async def _look(number: float, plan: Plan, life: Life, watched: Sequence[Watched]) -> Minute:
    samples = [await asyncio.to_thread(each.look, number) for each in watched]
    snapshots = {each.name: each.snapshots() for each in watched}
    return Minute(number, plan.seed, samples, len(life.ledger.accepted), dict(life.deeds), dict(life.answers), snapshots=snapshots)


async def _account(life: Life) -> list[str]:
    """What of the promises was broken, in words."""
    by_uid, problems = {person.uid: person for person in life.people}, []
    waits: list[tuple[Callable[[], Sequence[object]], str]] = [
        (lost(life.ledger, by_uid).look, "accepted, and neither shown nor bounced"),
        (unreceipted(life.ledger, by_uid).look, "shown, but the sender has no receipt"),
        (functools.partial(wrong_presence, life.residents), "presence that is wrong in the end"),
    ]
    for find, what in waits:
        try:
            await settled(find, what, SETTLED_S)
        except AssertionError as error:
            problems.append(str(error))
    found: dict[str, Sequence[object]] = {
        "shown twice": [one for person in life.people for one in doubled(person)],
        "out of order": [one for person in life.people for one in out_of_order(life.ledger, person)],
        "shown, but never accepted": invented(life.ledger, life.people),
        "answered with 500": [answer for answer in life.answers if answer.endswith(" 500")],
        "of the audit's answers": [answer for answer in life.answers if answer.startswith("question") and answer not in ANSWERED],
    }
    return problems + [f"{len(each)} × {what}: {each[:5]}" for what, each in found.items() if each]
