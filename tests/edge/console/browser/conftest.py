"""One browser and one whole installation for the module: opal has the role `ops`, ann and bob talk, and there is a past."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgpack
import pytest
import pytest_asyncio

import flash_sdk
from broker import envelope
from broker.embedded.broker import EmbeddedBroker
from broker.envelope import EventRecord
from broker.port import Outgoing
from broker.topology import EVENTS, HOMES
from domain.event import stored_fields
from domain.events.home import LoggedIn, LoggedOff, UserAdopted
from flash.process.compose import running_global, running_home
from flash.process.settings import Settings
from tests.support.chromium import Chromium, Page, chromium
from tests.support.ports import free_ports
from tests.support.waiting import eventually

PASSWORDS = {"opal": "opal-password", "ann": "ann-password", "bob": "bob-password"}
HOUR_S = 3_600
NASTY = "<script>document.title='broken'</script>"


@dataclass
class House:
    """The servers, and the people signed in at them. `past`: from when to when pia of h9 was online, an hour ago."""

    url: str
    broker: EmbeddedBroker
    home: Any  # h1, a HomeServer
    ann: flash_sdk.FlashClient
    bob: flash_sdk.FlashClient
    past: tuple[int, int]
    message: str  # the id of a popup that ann sent and bob closed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    first, *others = free_ports(3, in_a_row=True)
    settings = Settings(data=folder, ops=frozenset({"opal"}))
    broker = EmbeddedBroker(folder / "broker.db")
    await broker.start()
    await broker.wait_connected(10)
    url = f"http://127.0.0.1:{first}"
    past = await remember(broker)  # before the first era of the history, when servers signed nothing
    async with (
        running_global(settings, first, broker),
        running_home(settings, "h1", others[0], broker) as home,
        running_home(settings, "h2", others[1], broker) as second,
        flash_sdk.FlashClient(url) as ann,
        flash_sdk.FlashClient(url) as bob,
        flash_sdk.FlashClient(url) as opal,
    ):
        for each in (home, second):
            await asyncio.wait_for(each.global_client.announced.wait(), 30)
        for client, handle in ((ann, "ann"), (bob, "bob"), (opal, "opal")):
            await client.register(handle, PASSWORDS[handle], {"full_name": NASTY, "note": "SECRET NOTE"})
        yield House(url, broker, home, ann, bob, past, await talk(ann, bob))
    await broker.close()


async def talk(ann: flash_sdk.FlashClient, bob: flash_sdk.FlashClient) -> str:
    """Ann's popup arrives at Bob's, who leaves and closes it; its id."""
    await ann.add_contact(bob.grant.uid)
    accepted = await ann.send(bob.grant.uid, "SECRET TEXT")
    leaving: asyncio.Task[None] | None = None
    async for event in bob.listen():
        if isinstance(event, flash_sdk.Message):
            leaving = asyncio.create_task(bob.logoff())  # the loop goes on until the home has said goodbye
    assert leaving is not None
    await leaving
    await bob.done(accepted.id)
    return accepted.id


async def remember(broker: EmbeddedBroker) -> tuple[int, int]:
    """An hour ago pia logged in at a home that is gone by now, and half an hour ago she logged off."""
    now = int(time.time())
    came, left = now - HOUR_S, now - HOUR_S // 2
    presence = {"handle": "pia", "note": "", "session": "s", "cause": "c"}
    events = [
        UserAdopted(handle="pia", name="Pia", at=float(came - 60), cause="c"),
        LoggedIn(**presence, status="online", previous="offline", name="Pia", client="tk", at=float(came)),
        LoggedOff(**presence, status="offline", previous="online", reason="logoff", at=float(left)),
    ]
    records = []
    for number, event in enumerate(events, 1):
        records.append(EventRecord(number, "user-77", number, event.TOPIC, event.at, msgpack.packb(stored_fields(event))))
    await broker.publish([Outgoing(EVENTS, "h9.3", envelope.encode("h9", records))])
    return came, left


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    async with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(browser: Chromium) -> AsyncIterator[Page]:
    """A page of somebody who has not signed in."""
    page = await browser.page()
    await page.looks()
    yield page
    assert page.complaints == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def signed_in(house: House, browser: Chromium) -> Page:
    """Opal's page, signed in once."""
    page = await browser.page()
    await page.looks()
    await page.goes_to(f"{house.url}/ops")
    await sign_in(page, "opal")
    return page


@pytest_asyncio.fixture(loop_scope="module")
async def opal(signed_in: Page) -> AsyncIterator[Page]:
    """Opal's page in a usual window; at the end nothing in it has complained."""
    await signed_in.looks()
    yield signed_in
    complaints, signed_in.complaints = signed_in.complaints, []
    assert complaints == []


async def sign_in(page: Page, handle: str) -> None:
    """With the keyboard only."""
    await page.until("document.activeElement.name === 'handle'")
    await page.types(handle)
    await page.presses("Tab")
    await page.types(PASSWORDS[handle])
    await page.loads_after(page.presses("Enter"))


async def bury(house: House, body: bytes) -> None:
    """Let junk arrive at h1, which makes it a dead letter."""
    before = house.home.lifecycle.inbox.dead
    await house.broker.publish([Outgoing(HOMES, "h1", body, mandatory=True)])
    await eventually(lambda: house.home.lifecycle.inbox.dead > before)
