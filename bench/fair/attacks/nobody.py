"""The attacks at the door: of nobody, and of users who sign in. Rule: an address that is not an attack's own stands in its docstring."""

import asyncio
import itertools

from bench.fair.foe import Foe, all_of, post
from bench.people import PASSWORD


async def erasures(foe: Foe) -> None:
    """Nobody registers and erases, 22 a second, while a thousand people have one message that they did not acknowledge."""
    sender = foe.town.foes[0]
    for person in foe.town.crowd[: foe.many(1_000)]:
        await foe.once(foe.home, post("/v1/messages", {"id": foe.fresh("w"), "to": person.uid, "text": "Pop over?"}, sender.token))

    async def one(address: int) -> None:
        while True:
            body = {"handle": foe.fresh("shortlived"), "password": PASSWORD, "profile": {}}
            status, grant = await foe.once(foe.registry, post("/v1/users", body), address=address)
            if status == 201:
                await foe.once(foe.registry, post("/v1/users/me/erase", {"password": PASSWORD}, grant["token"]), address=address)
            await asyncio.sleep(0.1)

    await all_of(*(one(number) for number in range(foe.many(4))))


async def registrations(foe: Foe) -> None:
    """A thousand registrations at once from one address, again and again."""

    def make() -> bytes:
        return post("/v1/users", {"handle": foe.fresh("crowding"), "password": PASSWORD, "profile": {}})

    await all_of(*(foe.again_and_again(foe.registry, make, pause_s=1.0) for _ in range(foe.many(1_000))))


async def sign_ins(foe: Foe) -> None:
    """Thirty accounts of one address sign in with the right passwords, 300 under way for ever."""
    numbers = itertools.cycle(range(40, 70))  # the handles of the foes

    def make() -> bytes:
        return post("/v1/tokens", {"handle": f"user{next(numbers)}", "password": PASSWORD})

    await all_of(*(foe.again_and_again(foe.registry, make) for _ in range(foe.many(300))))


async def guesses(foe: Foe) -> None:
    """A thousand addresses guess the password of one handle."""

    def make() -> bytes:
        return post("/v1/tokens", {"handle": "user0", "password": foe.fresh("guess")})

    await all_of(*(foe.again_and_again(foe.registry, make, address=number, pause_s=5.0) for number in range(foe.many(1_000))))


async def office(foe: Foe) -> None:
    """Five guesses a second from 127.0.0.1, from which the victims sign in."""

    def make() -> bytes:
        return post("/v1/tokens", {"handle": foe.fresh("user"), "password": "a wrong password"})

    await foe.again_and_again(foe.registry, make, address=None, pause_s=0.2 / foe.share)
