"""What the Global Server believes of the presence feed. Rule: a change of a user comes from the user's own home."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from broker.port import Broker, StreamItem
from broker.publishers import Publishers
from broker.topology import PRESENCE_LOG
from domain.event import in_stream
from domain.events.home import StatusChanged
from servers.encryption.key_tables import open_keys
from servers.global_server.feed_reader import FeedReader
from servers.messaging.eras import Era
from servers.messaging.presence_events import era_began, presence_feed
from servers.store.event_store import Committed
from servers.trust.server_identity import ServerIdentity, new_key
from tests.support.waiting import eventually

KEY = ServerIdentity("global", new_key())  # the Global Server's
PEOPLE = {1: ("ann", "h1"), 2: ("bob", "h2")}  # handles, and where users live


def change(uid: int, home: str, version: int, publisher: str | None, handle: str = "") -> tuple[bytes, str | None]:
    """A change as `home` would tell it, published by `publisher`."""
    handle = handle or (PEOPLE[uid][0] if uid in PEOPLE else "carol")
    event = StatusChanged(at=1.7e9, cause="c", handle=handle, status="online", previous="away", note="", chosen="online", until=None)
    (stored,) = in_stream([event], f"user-{uid}", version - 1)
    (message,) = presence_feed(Committed(version, stored, cast(Any, None)), home, 0, 0)
    return message.body, publisher


class Log:
    """A presence log on a RabbitMQ where each server has a user of its own, as the Global Server reads it."""

    def __init__(self, *told: tuple[bytes, str | None]) -> None:
        self._items = [StreamItem(offset, body, {}, publisher) for offset, (body, publisher) in enumerate(told)]
        self._publishers = Publishers("global", "global")

    async def read_stream(self, stream: str, start: int | str, *, follow: bool = True) -> AsyncIterator[StreamItem]:
        assert stream == PRESENCE_LOG
        for item in self._items[0 if start == "first" else cast(int, start) :]:
            yield item
        if follow:
            await asyncio.Event().wait()

    def speaks_for(self, publisher: str | None, server: str) -> bool:
        return self._publishers.speak_for(publisher, server)


async def person(uid: int) -> tuple[str, str] | None:
    return PEOPLE.get(uid)


@pytest.mark.parametrize(
    ("told", "shown", "not_believed"),
    [
        pytest.param([change(1, "h1", 1, "h1"), change(2, "h2", 1, "h2")], {1, 2}, 0, id="each home of its own user"),
        pytest.param([change(1, "h1", 1, "h2")], set(), 1, id="in another home's name"),
        pytest.param([change(1, "h2", 1, "h2")], set(), 1, id="of another home's user"),
        pytest.param([change(1, "h1", 1, "h1", "bob")], set(), 1, id="under another handle"),
        pytest.param([change(3, "h2", 1, "h2")], {3}, 0, id="of a user who is not known yet"),
        pytest.param([change(3, "h1", 1, "h2")], set(), 1, id="of a user who is not known, in another home's name"),
        pytest.param([change(1, "h1", 1, None), change(2, "h2", 1, "h2")], {1, 2}, 0, id="from before messages were signed"),
        pytest.param([change(2, "h2", 1, "h2"), change(1, "h1", 1, None)], {2}, 1, id="unsigned, after they were"),
        pytest.param([change(1, "h2", 1, None)], set(), 1, id="unsigned, of another home's user"),
    ],
)
async def test_a_change_comes_from_the_home_of_its_user(
    tmp_path: Path, told: list[tuple[bytes, str | None]], shown: set[int], not_believed: int
) -> None:
    log = cast(Broker, Log(*told))
    with closing(open_keys("", f"sqlite:///{tmp_path}/global.db", "global")) as keys:
        reader = FeedReader(log, tmp_path / "feed", lambda: 1.7e9, person, lambda: None, 100, keys, KEY.public)
        reader.era_is(PRESENCE_LOG, Era(1))
        await reader.start()
        await eventually(reader.caught_up.is_set)
        assert (set(reader.feed.users), reader.not_believed) == (shown, not_believed)
        await reader.stop()


@pytest.mark.parametrize(
    ("key", "publisher", "whole", "not_believed"),
    [
        pytest.param(KEY, "global", False, 0, id="of the Global Server"),
        pytest.param(KEY, "h2", True, 1, id="handed on by a home"),
        pytest.param(ServerIdentity("global", new_key()), "global", True, 1, id="under another key"),
    ],
)
async def test_the_beginning_of_an_era_is_the_global_servers(
    tmp_path: Path, key: ServerIdentity, publisher: str, whole: bool, not_believed: int
) -> None:
    """It may stand behind the first change, when a home was quicker."""
    log = cast(Broker, Log(change(1, "h1", 1, "h1"), (era_began(key, 2, 1, 1.7e9).body, publisher)))
    with closing(open_keys("", f"sqlite:///{tmp_path}/global.db", "global")) as keys:
        reader = FeedReader(log, tmp_path / "feed", lambda: 1.7e9, person, lambda: None, 100, keys, KEY.public)
        reader.era_is(PRESENCE_LOG, Era(2))
        await reader.start()
        await eventually(reader.caught_up.is_set)
        assert (reader.feed.whole, reader.not_believed) == (whole, not_believed)
        await reader.stop()


async def test_a_checkpoint_of_another_era_is_not_gone_on_with(tmp_path: Path) -> None:
    """The stream was begun anew while the Global Server was down, and holds the same message at the same offset."""
    log = cast(Broker, Log((era_began(KEY, 1, 0, 1.7e9).body, "global"), change(1, "h1", 1, "h1")))
    cursors = []
    with closing(open_keys("", f"sqlite:///{tmp_path}/global.db", "global")) as keys:
        for era in (Era(1), Era(2)):
            reader = FeedReader(log, tmp_path / "feed", lambda: 1.7e9, person, lambda: None, 100, keys, KEY.public)
            await reader.start()
            assert not reader.caught_up.is_set(), "nothing is told while the era is unknown"
            reader.era_is(PRESENCE_LOG, era)
            await eventually(reader.caught_up.is_set)
            cursors.append(reader.feed.cursor)
            assert [reader.feed.position_of(cursor) is not None for cursor in cursors] == [False] * (era.number - 1) + [True]
            await reader.stop()
