"""A card that is known may not suffice: a server in another life is certified anew, and until then its old card is shown."""

import time

import pytest
from msgspec import msgpack
from structlog.testing import capture_logs

from domain.errors import Unavailable
from servers.messaging.cards import Cards, CardsConfig
from servers.messaging.questions import ToldCard, home_key
from tests.servers.members import certified
from tests.servers.strangers import RecordsInMemory
from tests.support.waiting import eventually

EAGER = CardsConfig(retry_s=0.01, give_up_after=3)


class Shows:
    """A broker behind which h2 alone answers, with the cards in turn; the last one again and again."""

    def __init__(self, *cards: bytes) -> None:
        self.cards = list(cards)
        self.asked: list[str] = []

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        self.asked.append(key)
        if key != home_key("h2"):
            raise Unavailable("it is away")
        return msgpack.encode(ToldCard(self.cards.pop(0) if len(self.cards) > 1 else self.cards[0]))


@pytest.fixture
def trust():
    return certified("h1", RecordsInMemory())


@pytest.fixture
def table():
    return RecordsInMemory()


@pytest.fixture
def old(table, trust):
    """h2's card in its first life, which is known."""
    card = certified("h2", table, 1).card
    trust.peers.learn(card)
    return card


@pytest.fixture
def new(table, old):
    return certified("h2", table, 2).card


@pytest.fixture
async def cards(trust):
    cards = Cards(Shows(), trust, time.monotonic, config=EAGER)
    cards.start()
    yield cards
    await cards.stop()


async def given_up(cards, name):
    """Nobody has the card of `name`: by then every other wanted card was asked for as often as `name`'s."""
    with capture_logs() as logs:
        cards.want(name)
        await eventually(lambda: {"event": "trust.card_not_found", "log_level": "warning", "server": name} in logs)
    return [entry["server"] for entry in logs if entry["event"] == "trust.card_not_found"]


async def test_a_newer_card_is_asked_for_until_it_comes(cards, trust, old, new):
    cards.broker.cards = [old, old, new]
    cards.want("h2", newer=True)
    await eventually(lambda: trust.peers.card("h2").certificate.life == 2)
    assert await given_up(cards, "h3") == ["h3"], "and then no more"
    assert cards.broker.asked.count(home_key("h2")) == 3


async def test_a_newer_card_that_never_comes_is_given_up_and_the_old_one_suffices_again(cards, old):
    cards.broker.cards = [old]
    cards.want("h2", newer=True)
    assert await given_up(cards, "h3") == ["h2", "h3"]
    assert cards.broker.asked.count(home_key("h2")) == EAGER.give_up_after
    cards.want("h2")
    assert await given_up(cards, "h4") == ["h4"]
    assert cards.broker.asked.count(home_key("h2")) == EAGER.give_up_after + 1


async def test_a_newer_card_that_comes_by_another_way_is_not_waited_for(cards, old, new):
    cards.broker.cards = [new]
    cards.want("h2", newer=True)
    cards.learn(new)  # as with the mail that followed
    assert await given_up(cards, "h3") == ["h3"]
    assert cards.broker.asked.count(home_key("h2")) == 1
