"""Workload `login-storm`: all users log in at once, and all their contacts must learn of it.

Rule: each contact is notified once, by a part or by `welcome`.
Each ordered pair of contacts needs one notification: a part, or the `welcome` of the contact who logged in later. All users connect and
log in at once, twice: first to a home that was just started, which has seen no token and has no state in memory; then, after all have
left, to the same home again, as after a cut of the network. The targets are for the second storm.
"""

import asyncio
import json
import re
import time
import urllib.request

from bench.http_client import Stream, request
from bench.installation import Installation
from bench.people import Person, add_contacts
from bench.report import Run, Target, percentile
from bench.rig import Rig
from tests.support.waiting import eventually

COLD_TOO = ("CPU µs/notification", "p99 ms")
CONTACTS = 20  # of each user, all mutual: the ten next users on either side of a ring
TIMEOUT_S = 30.0  # a storm takes one second
SETTLE_S = 0.5  # time for notifications that come twice, and for work of the servers after the last one
ONLINE = b'"status":"online"'

LOGIN_STORM = {"CPU µs/notification": Target(60, 25), "p99 ms": Target(200)}


class Client(Stream):
    """A user who logs in. `heard` holds each part and the time at which it came."""

    __slots__ = ("heard", "online", "person", "sent_at")

    def __init__(self, person: Person) -> None:
        super().__init__(request("POST", "/v1/back-connection", person.token, b'{"client":"bench/1"}'), self._hear)
        self.person = person
        self.heard: list[tuple[float, bytes, bytes]] = []
        self.online = 0
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Log in, and remember the time."""
        self.sent_at = time.perf_counter()
        super().connection_made(transport)

    def _hear(self, name: bytes, body: bytes) -> None:
        self.heard.append((time.perf_counter(), name, body))  # parts are read afterwards, because the generator must not slow the storm
        self.online += body.count(ONLINE)


async def prepare(installation: Installation, people: list[Person]) -> None:
    """Make contacts of the second half of the users, who stand in a ring."""
    ring = people[len(people) // 2 :]
    for step in range(1, CONTACTS // 2 + 1):
        ahead = ring[step:] + ring[:step]
        await add_contacts([*zip(ring, ahead, strict=True), *zip(ahead, ring, strict=True)])


async def login_storm(rig: Rig, run_s: float) -> Run:
    """All log in at once, leave, and log in at once again."""
    async with rig.fresh("ring", prepare) as (installation, people):
        ring = people[len(people) // 2 :]
        cold = await _storm(installation, ring)
        await eventually(lambda: _sessions(installation) == 0, TIMEOUT_S)
        warm = await _storm(installation, ring)
        figures = warm.figures | {f"{name}, cold": value for name, value in cold.figures.items() if name in COLD_TOO}
        return Run(figures, cold.faults + warm.faults)


def _sessions(installation: Installation) -> int:
    port = installation.homes["h1"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return int(float(re.findall(r"^flash_sessions (\S+)$", answer.read().decode(), re.MULTILINE)[0]))


async def _storm(installation: Installation, ring: list[Person]) -> Run:
    """Run one storm. It ends when all users know that all their contacts are online."""
    loop = asyncio.get_running_loop()
    clients = [Client(person) for person in ring]
    cpu, own, start = installation.cpu_s(), time.process_time(), time.perf_counter()
    await asyncio.gather(*(loop.create_connection(lambda c=client: c, "127.0.0.1", client.person.port) for client in clients))  # type: ignore[misc]
    wanted = CONTACTS * len(clients)
    faults: list[str] = []
    try:
        await eventually(lambda: sum(client.online for client in clients) >= wanted, TIMEOUT_S)
    except AssertionError:
        faults.append(f"{sum(client.online for client in clients)} of {wanted} were known after {TIMEOUT_S:.0f} s")
    took_s = time.perf_counter() - start
    await asyncio.sleep(SETTLE_S)
    cpu, own = installation.cpu_s() - cpu, time.process_time() - own
    pushed, pairs = _check(clients, faults)
    for client in clients:
        client.close()
    figures = {
        "CPU µs/notification": cpu / wanted * 1e6,
        "p99 ms": percentile(pairs, 0.99) * 1e3,
        "p50 ms": percentile(pairs, 0.5) * 1e3,
        "told by part": float(len(pushed)),
        "told by welcome": float(wanted - len(pushed)),
        "CPU µs/login": cpu / len(clients) * 1e6,
        "storm ms": took_s * 1e3,
        "generator µs/notification": own / wanted * 1e6,
    }
    return Run(figures, faults)


def _check(clients: list[Client], faults: list[str]) -> tuple[list[float], list[float]]:
    """In seconds: the time from a login to each notification of it, and from the later login of a pair until the pair was known."""
    sent_at = {client.person.uid: client.sent_at for client in clients}
    notices_s: list[float] = []
    pairs_s: list[float] = []
    for client in clients:
        known: dict[int, str] = {}
        for when, name, body in client.heard:
            if name == b"blank":
                continue
            if name not in (b"welcome", b"presence") or (name == b"welcome") != (not known):
                faults.append(f"user {client.person.uid} got {name!r} at the wrong moment: {body[:120]!r}")
                continue
            parsed = json.loads(body)
            if name == b"welcome":
                known = {contact["uid"]: contact["presence"]["status"] for contact in parsed["contacts"]}
                pairs_s += [when - max(client.sent_at, sent_at.get(uid, 0.0)) for uid, status in known.items() if status == "online"]
                continue
            for change in parsed["changes"]:
                if change["status"] != "online" or known.get(change["uid"]) != "offline":
                    faults.append(f"user {client.person.uid} knew {known.get(change['uid'])!r} and was told {change}")
                known[change["uid"]] = change["status"]
                notices_s.append(when - sent_at[change["uid"]])
                pairs_s.append(when - max(client.sent_at, sent_at[change["uid"]]))
        missing = sum(status != "online" for status in known.values())
        if missing or len(known) != CONTACTS:
            faults.append(f"user {client.person.uid} knows {len(known)} contacts, {missing} of them not as online")
    return notices_s, pairs_s
