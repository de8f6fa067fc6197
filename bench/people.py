"""Users for the workloads: registered over HTTP, or, for a home alone, strangers with tokens minted under the key of the installation.

Rule: everybody on a contact list is really registered; only strangers (`mint`) are not.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.http_client import Failed, Poster, request
from bench.installation import Installation
from servers.security.signer import Signer

HASHING_AT_ONCE = 4  # the Global Server hashes two passwords at a time, and two more requests keep it busy
CALLS_AT_ONCE = 32  # enough calls that the writer makes batches
FIRST_STRANGER = 1_000_000  # far above every registered uid
DAY_S = 86_400.0
PASSWORD = "a password for the bench"


@dataclass(frozen=True, slots=True)
class Person:
    """A user, and the port of their home."""

    uid: int
    token: str
    home: str
    port: int


async def register(installation: Installation, count: int) -> list[Person]:
    """New users, in the order of their uids, on each home in turn. A user takes about 15 ms: passwords are hashed at the full cost."""
    numbers = iter(range(count))
    people: list[Person] = []

    async def work() -> None:
        poster = await Poster.connect(installation.global_port)
        for number in numbers:
            body = json.dumps({"handle": f"user{number}", "password": PASSWORD, "profile": {"full_name": f"User {number}"}}).encode()
            grant = json.loads(await _expect(poster, request("POST", "/v1/users", None, body), 201))
            home = grant["home"]["name"]
            people.append(Person(grant["uid"], grant["token"], home, installation.homes[home]))
        poster.close()

    await asyncio.gather(*(work() for _ in range(HASHING_AT_ONCE)))
    return sorted(people, key=lambda person: person.uid)


async def rename(installation: Installation, people: Iterable[Person], name: str) -> None:
    """Give all of them this name."""
    left = iter(people)
    body = json.dumps({"profile": {"full_name": name}}).encode()

    async def work() -> None:
        poster = await Poster.connect(installation.global_port)
        for person in left:
            await _expect(poster, request("PATCH", "/v1/users/me", person.token, body), 200)
        poster.close()

    await asyncio.gather(*(work() for _ in range(CALLS_AT_ONCE)))


async def add_contacts(wishes: Iterable[tuple[Person, Person]]) -> None:
    """The first user of each pair adds the second as a contact. All first users live at one home."""
    pairs = list(wishes)
    left = iter(pairs)

    async def work() -> None:
        poster = await Poster.connect(pairs[0][0].port)
        for who, whom in left:
            await _expect(poster, request("PUT", f"/v1/contacts/{whom.uid}", who.token, b"{}"), 201)
        poster.close()

    await asyncio.gather(*(work() for _ in range(CALLS_AT_ONCE)))


def mint(installation: Installation, home: str, count: int) -> list[Person]:
    """Strangers with valid tokens: a home adopts every user whose token is signed with the key of the installation."""
    signer = Signer.load_or_create(installation.data / "global" / "signing-key.pem")
    port, now = installation.homes[home], time.time()
    url = f"http://127.0.0.1:{port}"
    return [
        Person(
            uid,
            signer.issue(uid=uid, handle=f"idle{uid}", name=f"Idle {uid}", home=home, home_url=url, now=now, lifetime_s=DAY_S),
            home,
            port,
        )
        for uid in range(FIRST_STRANGER, FIRST_STRANGER + count)
    ]


def save(people: Sequence[Person], data: Path) -> None:
    """Save users beside the data in which they are registered."""
    (data / "people.json").write_text(json.dumps([[person.uid, person.token, person.home] for person in people]))


def load(installation: Installation) -> list[Person]:
    """The saved users, with the ports of the present servers."""
    saved = json.loads((installation.data / "people.json").read_text())
    return [Person(uid, token, home, installation.homes[home]) for uid, token, home in saved]


async def _expect(poster: Poster, data: bytes, wanted: int) -> bytes:
    status, body = await poster.call(data)
    if status != wanted:
        raise Failed(f"{data[:40]!r} was answered with {status}: {body[:200]!r}")
    return body
