"""The bridge between the two threads. Rule: nothing is lost, nothing is out of order, and the views' thread is never held up."""

import select
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

import flash_sdk as sdk
from clients.tk.engine.bridge import Bridge
from clients.tk.model import effects as fx
from clients.tk.model import inputs as said
from clients.tk.model.model import Model
from clients.tk.model.values import Account
from tests.clients.tk.model.ann import BOB

SIGNED_IN = said.SignedIn(Account("http://flash", 1, "ann"))


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge(Model())
    bridge.report(SIGNED_IN)
    bridge.drain()
    yield bridge
    bridge.close()


def message(n: int) -> sdk.Message:
    return sdk.Message(n, f"m{n}", sdk.Sender(BOB, "bob", "Bob"), "hi", datetime.now(UTC), None, False)


def readable(bridge: Bridge) -> bool:
    return bool(select.select([bridge.fileno()], [], [], 0)[0])


def test_its_descriptor_is_readable_exactly_when_something_waits(bridge: Bridge) -> None:
    assert not readable(bridge)
    for n in range(1000):
        bridge.report(message(n))
    assert readable(bridge)
    bridge.drain(limit_ms=0)
    assert bridge.waiting == 999
    assert readable(bridge)
    while bridge.waiting:
        bridge.drain()
    bridge.drain()
    assert not readable(bridge)
    assert len(bridge.model.inbox) == 1000


def test_threads_report_while_the_views_drain(bridge: Bridge) -> None:
    def flood(first: int) -> None:
        for n in range(first, first + 500):
            bridge.report(message(n))

    threads = [threading.Thread(target=flood, args=(n * 500,)) for n in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or bridge.waiting:
        select.select([bridge.fileno()], [], [], 0.1)
        bridge.drain()
    ids = [int(entry.id[1:]) for entry in bridge.model.inbox]
    assert sorted(ids) == list(range(2000))
    for first in range(0, 2000, 500):
        assert [id for id in ids if first <= id < first + 500] == list(range(first, first + 500))


def test_commands_wait_for_the_engine_and_keep_their_order(bridge: Bridge) -> None:
    for n in range(3):
        bridge.do(said.Write(f"w{n}", BOB, "hi"))
    asked: list[fx.Command] = []
    bridge.bind(asked.append)
    bridge.do(said.Write("w3", BOB, "hi"))
    assert [command.sent.id for command in asked if isinstance(command, fx.Post)] == ["w0", "w1", "w2", "w3"]


def test_a_conversation_that_is_drawn_anew_gets_no_entry_twice(bridge: Bridge) -> None:
    bridge.report(message(1))
    bridge.report(said.OlderLoaded(BOB, (), more=False))
    bridge.report(message(2))
    effects = bridge.drain(limit_ms=1000)
    assert effects.count(fx.ConversationChanged(BOB)) == 1
    assert not any(isinstance(effect, fx.EntryAdded) for effect in effects)


def test_the_age_of_a_popup_counts_from_its_arrival(bridge: Bridge) -> None:
    bridge.report(message(1))
    (popup,) = [effect.popup for effect in bridge.drain() if isinstance(effect, fx.ShowPopup)]
    age = bridge.age_ms(popup.id)
    assert age is not None
    assert 0 <= age < 1000
    assert bridge.age_ms(popup.id) is None


def test_reports_after_closing_harm_nobody() -> None:
    bridge = Bridge(Model())
    bridge.close()
    bridge.report(SIGNED_IN)
    assert bridge.waiting == 1
