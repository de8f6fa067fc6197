"""Somebody who lives at a home, and a friend elsewhere. Rule: both ask again where a server has not heard yet of what another server did,
as people do."""

import asyncio
import itertools
import json

from bench.fair.foe import post
from bench.http_client import Poster, request
from bench.people import PASSWORD, Person

AGAIN_S = 0.1


async def resident_of(home: str, registry: int, handle: str) -> tuple[int, str]:
    """A new user who lives there, number and token: a home that has the fewest users is given the next one, when it is heard. `registry`:
    the Global Server's port."""
    poster = await Poster.connect(registry)
    for number in itertools.count():
        person = {"handle": f"{handle}-{number}", "password": PASSWORD, "profile": {"full_name": "Resident"}}
        status, body = await poster.call(post("/v1/users", person))
        grant = json.loads(body) if status == 201 else {}
        if grant and grant["home"]["name"] == home:
            poster.close()
            return int(grant["uid"]), str(grant["token"])
        await asyncio.sleep(AGAIN_S)
    raise AssertionError("numbers do not end")


async def befriend(poster: Poster, who: Person, uid: int) -> None:
    """Make somebody a contact, as soon as the home of `who` has heard of them."""
    while True:
        status, _ = await poster.call(request("PUT", f"/v1/contacts/{uid}", who.token, b"{}"))
        if status in (200, 201):
            return
        await asyncio.sleep(AGAIN_S)
