"""Workload `replay`: users log in to a home that was just started and holds messages for each of them.

Rule: each user gets all messages, in order, once. They acknowledge as the SDK does; then they log in again, and no message may be waiting.
"""

import asyncio
import json
import time
from collections.abc import Sequence

from bench.http_client import Failed, Poster, Stream, request
from bench.installation import Installation
from bench.lines import MESSAGE, TEXTS, Acker
from bench.people import Person
from bench.report import Run, Target
from bench.rig import Rig
from tests.support.waiting import eventually

USERS = 100  # the target is stated for this number
MESSAGES = 50  # for each user; the target is stated for this number
TIMEOUT_S = 30.0  # a replay takes one second

REPLAY = {"messages/s": Target(8_000, 25_000, more=True)}


class Reader:
    """A user who logs in and reads. `last_at` is when the newest message came."""

    def __init__(self, number: int, person: Person, poster: Poster, faults: list[str]) -> None:
        self.number = number
        self.person = person
        self.read = 0
        self.last_at = 0.0
        self.welcome: bytes | None = None
        self._poster = poster
        self._faults = faults
        self._acker: Acker | None = None

    async def log_in(self) -> Stream:
        """Log in."""
        self.welcome = None
        return await Stream.connect(self.person.port, self.person.token, self._hear)

    @property
    def has_all(self) -> bool:
        """Whether every message was read and acknowledged."""
        return self.read == MESSAGES and not self._poster.busy

    @property
    def has_mail(self) -> bool:
        """Whether the last welcome announced messages."""
        return self.welcome is None or json.loads(self.welcome)["resume"] != {"verdict": "fresh", "count": 0}

    def _hear(self, name: bytes, body: bytes) -> None:
        if name == b"welcome":
            self.welcome = body
            self._acker = Acker(self._poster, self.person.token, json.loads(body)["session"], self._faults)
            return
        found = MESSAGE.search(body) if name == b"message" else None
        if found is None or self._acker is None or (int(found[2]), int(found[3])) != (self.number, self.read + 1):
            if name not in (b"blank", b"lost"):
                self._faults.append(f"user {self.number} read {name!r} {body[:60]!r} after message {self.read}")
            return
        self.read += 1
        self.last_at = time.perf_counter()
        self._acker.acknowledge(int(found[1]))


async def prepare(installation: Installation, people: list[Person]) -> None:
    """The first hundred users each write to their contact, who is offline."""
    half = len(people) // 2

    async def write(number: int) -> None:
        sender, recipient = people[number], people[half + number]
        poster = await Poster.connect(sender.port)
        for count in range(1, MESSAGES + 1):
            body = json.dumps({"id": f"{number:05d}{count:07d}", "to": recipient.uid, "text": TEXTS[count % len(TEXTS)]}).encode()
            status, answer = await poster.call(request("POST", "/v1/messages", sender.token, body))
            if status != 202:
                raise Failed(f"a message was answered with {status}: {answer[:200]!r}")
        poster.close()

    await asyncio.gather(*(write(number) for number in range(min(USERS, half))))


async def replay(rig: Rig, run_s: float) -> Run:
    """All log in at once. Returns when the last message has come."""
    faults: list[str] = []
    async with rig.fresh("stored", prepare) as (installation, people):
        half = len(people) // 2
        recipients = people[half : half + USERS]
        posters = [await Poster.connect(person.port) for person in recipients]
        readers = [Reader(number, person, posters[number], faults) for number, person in enumerate(recipients)]
        cpu, own, start = installation.cpu_s(), time.process_time(), time.perf_counter()
        streams = await asyncio.gather(*(reader.log_in() for reader in readers))
        await _until_all(readers, faults)
        took_s = max(reader.last_at for reader in readers) - start
        cpu, own = installation.cpu_s() - cpu, time.process_time() - own
        for stream in streams:
            stream.close()
        again = await asyncio.gather(*(reader.log_in() for reader in readers))
        await eventually(lambda: all(reader.welcome is not None for reader in readers), TIMEOUT_S)
        faults.extend(f"user {reader.number} was given messages again" for reader in readers if reader.has_mail)
        for stream in again:
            stream.close()
        for poster in posters:
            poster.close()
    count = len(readers) * MESSAGES
    figures = {
        "messages/s": count / took_s,
        "ms": took_s * 1e3,
        "CPU µs/message": cpu / count * 1e6,
        "generator µs/message": own / count * 1e6,
    }
    return Run(figures, faults)


async def _until_all(readers: Sequence[Reader], faults: list[str]) -> None:
    try:
        await eventually(lambda: all(reader.has_all for reader in readers), TIMEOUT_S)
    except AssertionError:
        faults.append(f"{sum(reader.read for reader in readers)} of {len(readers) * MESSAGES} messages came within {TIMEOUT_S:.0f} s")
