"""Everything breaks at random moments, for as long as people talk. Rule: the promises hold in whatever order processes die."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.faults.checker import Ledger, verify
from tests.faults.installation import Installation
from tests.faults.people import Crowd, Person, chatter
from tests.support.rabbitmq_choice import AnyRabbit

PEOPLE = 20
Deed = Callable[[], Awaitable[None]]


class Monkey:
    """Breaks one thing, lets people talk on for a while, and mends it."""

    def __init__(self, installation: Installation, rabbit: AnyRabbit, people: list[Person], ledger: Ledger, chance: random.Random) -> None:
        self._installation = installation
        self._rabbit = rabbit
        self._people = people
        self._ledger = ledger
        self._chance = chance

    async def while_people_talk(self, at_most: int) -> None:
        """Wait until some more messages are accepted."""
        await self._ledger.grown(self._chance.randint(1, at_most))

    async def kills_a_home(self) -> None:
        """The other home's people talk on."""
        home = self._chance.choice(list(self._installation.homes.values()))
        await asyncio.to_thread(home.kill)
        await self.while_people_talk(60)
        await asyncio.to_thread(home.start)

    async def pauses_a_home(self) -> None:
        """The process hangs: nobody is told, and then it goes on as before."""
        home = self._chance.choice(list(self._installation.homes.values()))
        home.pause()
        try:
            await self.while_people_talk(40)
        finally:
            home.resume()

    async def kills_the_global_server(self) -> None:
        """Nobody should notice."""
        await asyncio.to_thread(self._installation.global_server.kill)
        await self.while_people_talk(60)
        await asyncio.to_thread(self._installation.global_server.start)

    async def resets_the_broker(self) -> None:
        """Every connection to the broker is closed."""
        await asyncio.to_thread(self._rabbit.reset_connections)

    async def kills_the_broker_and_a_home(self) -> None:
        """The home comes back before the broker does."""
        home = self._chance.choice(list(self._installation.homes.values()))
        await asyncio.to_thread(self._rabbit.kill)
        await self.while_people_talk(60)
        await asyncio.to_thread(home.restart)
        await self.while_people_talk(60)
        await asyncio.to_thread(self._rabbit.start)

    async def kills_clients(self) -> None:
        """Some windows die, and come back later."""
        windows = [self._chance.choice(person.windows) for person in self._chance.sample(self._people, 5)]
        for window in windows:
            await window.die()
        await self.while_people_talk(60)
        await asyncio.gather(*(window.start() for window in windows))


async def test_everything_breaks_at_random(
    installation: Installation,
    rabbit: AnyRabbit,
    crowd: Crowd,
    ledger: Ledger,
    chance: random.Random,
    tell: Callable[[object], None],
) -> None:
    """Each deed at least once, in random order, among twenty people on two homes; some of them have two windows."""
    people = await crowd.settle_in(PEOPLE)
    for person in chance.sample(people, 4):
        await person.opens()
    monkey = Monkey(installation, rabbit, people, ledger, chance)
    often: list[Deed] = [monkey.kills_a_home, monkey.resets_the_broker, monkey.kills_clients, monkey.pauses_a_home]
    deeds = [*often, *chance.choices(often, k=2), monkey.kills_the_global_server, monkey.kills_the_broker_and_a_home]
    chance.shuffle(deeds)
    async with chatter(people, ledger, chance):
        for deed in deeds:
            await monkey.while_people_talk(100)
            await deed()
        await monkey.while_people_talk(100)
    tell(f"{' '.join(deed.__name__ for deed in deeds)}: {await verify(ledger, people)}")
