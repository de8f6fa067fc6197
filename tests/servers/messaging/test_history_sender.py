"""What a server publishes to the history again. Rule: a stream that was missing holds nothing, whoever made it again."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker import history
from broker.embedded.broker import EmbeddedBroker
from broker.port import Outgoing, Unroutable
from domain.registry.registered_home import GLOBAL
from servers.messaging.history_sender import HistorySender
from servers.messaging.recent_commits import RecentCommits
from servers.store.event_store import Store
from servers.trust.publications import HistorySigner
from servers.trust.trust import Trust
from tests.servers.homes import Clock
from tests.servers.stores import HOME, adopted, put, sent
from tests.servers.strangers import RecordsInMemory


class Stream(EmbeddedBroker):
    """A broker whose history may be missing, and what it holds."""

    missing = False
    taken: list[tuple[int, int]]

    def publish(self, outgoing: Sequence[Outgoing]) -> "asyncio.Future[None]":
        if self.missing:
            raise Unroutable("flash.events", {each.key for each in outgoing})
        for each in outgoing:
            head = history.decode(each.body).head
            assert head is not None
            self.taken.append((head.after, head.last))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def deleted(self) -> None:
        self.missing, self.taken = True, []


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    stream = Stream(tmp_path / "broker.db")
    stream.taken = []
    return stream


async def test_a_stream_that_was_missing_and_is_there_again_is_filled_without_the_global_server(tmp_path: Path, stream: Stream) -> None:
    """Ops deleted it and made it again; the era stays, because nobody can begin another one."""
    store = Store(f"sqlite:///{tmp_path}/h1.db", "h1", HOME)
    trust = Trust(GLOBAL, RecordsInMemory(), Clock())
    trust.certify_itself()
    recent = RecentCommits(1_000, 1_000_000)
    follower = recent.follow()
    sender = HistorySender(store, stream, "h1", follower, HistorySigner(trust), 100, 1_000_000)
    sender.era_is(7, past=False)

    async def says(version: int, *events: object) -> None:
        batch = put(store, "user-1", version, list(events))
        recent.offer(batch)
        await sender.send(batch)
        follower.passed(batch[-1].position)

    await says(0, adopted(1), sent(1))
    assert (stream.taken, sender.behind, sender.lag) == ([(0, 2)], False, 0)
    stream.deleted()
    with pytest.raises(Unroutable):
        await says(2, sent(2))
    stream.missing = False
    with capture_logs() as logged:
        await sender.send(store.read(2, 10))
    follower.passed(3)
    assert [line["event"] for line in logged] == ["history.stream_came_back"]
    assert (stream.taken, sender.behind, sender.lag) == ([(2, 3)], True, 3)
    await sender.send_again()
    assert (stream.taken, sender.behind, sender.lag) == ([(2, 3), (0, 3)], False, 0)
    await says(3, sent(3))
    assert (stream.taken[-1], sender.lag) == ((3, 4), 0)
    store.close()
