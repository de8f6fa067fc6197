"""The attacks of a home, by row. Rule: each goes on until it is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from msgspec import msgpack
from msgspec.structs import replace

from bench.fair.homes.hostile import ANOTHER, NAME, VICTIM, HostileHome
from bench.fair.homes.own_queue import own_queue
from broker import mail, topology
from broker.mail import Body
from broker.port import Outgoing
from domain.registry.registered_home import GLOBAL
from servers.messaging.questions import Announce, AskPresence

Attack = Callable[[HostileHome], Awaitable[None]]


async def _each_second(foe: HostileHome, times: int, do: Callable[[], Awaitable[None]]) -> None:
    while True:
        await do()
        await asyncio.sleep(1 / (times * foe.share))


async def heartbeats(foe: HostileHome) -> None:
    """A thousand heartbeats a second, in its own name and in another's, each of another run."""
    await _each_second(foe, 20, lambda: foe.send(*(foe.beat(name) for _ in range(25) for name in (NAME, ANOTHER))))


async def long_mail(foe: HostileHome) -> None:
    """Mails of 100,000 junk events, and of as many as a server may send."""
    await _each_second(foe, 2, lambda: foe.send(foe.mail(foe.junk(100_000)), *(foe.mail(foe.junk(1_000)) for _ in range(5))))


async def questions(foe: HostileHome) -> None:
    """Questions about 300,000 users, about one of them ten thousand times, and as many small ones as it can ask."""

    async def big() -> None:
        await asyncio.gather(foe.question(VICTIM, {"ask": "presence", "uids": list(range(1, 300_001))}),
                             *(foe.question(VICTIM, AskPresence([1] * 10_000)) for _ in range(10)))  # fmt: skip

    async def small() -> None:
        await asyncio.gather(*(foe.question(VICTIM, AskPresence([1])) for _ in range(50)))

    await asyncio.gather(_each_second(foe, 5, big), _each_second(foe, 20, small))


async def made_up_names(foe: HostileHome) -> None:
    """Twelve thousand names that nobody has, in heartbeats and in questions."""

    async def asked() -> None:
        head = msgpack.encode([f"made-up-{foe.number()}", VICTIM, b"n" * 16, foe.trust.clock()])
        await foe.question(VICTIM, {"ask": "boxed", "head": head, "box": b"?"}, raw=True)

    async def some() -> None:
        await asyncio.gather(foe.send(*(foe.beat(f"made-up-{foe.number()}") for _ in range(30))), *(asked() for _ in range(30)))

    await _each_second(foe, 10, some)


async def made_up_homes(foe: HostileHome) -> None:
    """Homes that it announces, with URLs of their own."""

    async def announce() -> None:
        names = [f"made-up-{foe.number()}" for _ in range(10)]
        await asyncio.gather(*(foe.question(GLOBAL, Announce(name, f"http://{name}.example", foe.trust.card)) for name in names))

    await _each_second(foe, 5, announce)


async def topics(foe: HostileHome) -> None:
    """Twenty thousand topics that nobody used before, a thousand in each publication."""

    def publication() -> Outgoing:
        return foe.publication([replace(record, topic=f"topic.{record.position}") for record in foe.junk(1_000)])

    for _ in range(round(20 * foe.share) or 1):
        await foe.send(publication())
    await _each_second(foe, 1, lambda: foe.send(publication()))


async def made_up_sources(foe: HostileHome) -> None:
    """Junk mail, two hundred a second, each said to be of another server."""

    def junk() -> Outgoing:
        return foe.mail(foe.junk(1), f"made-up-{foe.number()}")

    await _each_second(foe, 10, lambda: foe.send(*(junk() for _ in range(20))))


async def lies_at_length(foe: HostileHome) -> None:
    """Mail with ten thousand words that are no words, and junk of one byte each."""

    def wordy() -> Outgoing:
        plain = foe.mail(foe.junk(1))
        head, packed, _, card = mail.decode(plain.body)
        body = mail.encode_body(Body([], head.destination_life, 0, [b"no word"] * 10_000))
        return replace_body(plain, mail.encode(packed, foe.trust.boxes.close(VICTIM, mail.PURPOSE, packed, body), card))

    await _each_second(foe, 5, lambda: foe.send(wordy(), *(Outgoing(topology.HOMES, VICTIM, b"\xc1") for _ in range(100))))


def replace_body(message: Outgoing, body: bytes) -> Outgoing:
    """The same message with another body."""
    return Outgoing(message.exchange, message.key, body)


HOME_ATTACKS: Mapping[str, Attack] = {
    "home-queue": own_queue,
    "home-heartbeats": heartbeats,
    "home-long-mail": long_mail,
    "home-questions": questions,
    "home-names": made_up_names,
    "home-homes": made_up_homes,
    "home-topics": topics,
    "home-sources": made_up_sources,
    "home-lies": lies_at_length,
}
