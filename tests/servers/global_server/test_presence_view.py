"""Integrators at the Global Server: snapshot and stream leave nothing out and say nothing twice, and tell only what was granted."""

import asyncio
import itertools
import json

import msgspec
import pytest

from broker import topology
from broker.embedded.broker import EmbeddedBroker
from broker.port import Outgoing
from domain.errors import Gap, NotAnIntegrator, NotGranted
from domain.event import in_stream
from domain.events.home import StatusChanged
from servers.global_server.service import GlobalServer
from servers.global_server.subscribers import PORTION
from servers.messaging.eras import Era
from servers.messaging.presence_events import presence_feed
from servers.security.identity import Identity
from servers.security.integrators import read_grants
from servers.store.event_store import Committed
from tests.servers.global_server.test_service import HERE, PASSWORD, House, who
from tests.servers.homes import Window
from tests.support.waiting import eventually

GRANTS = read_grants("crm=all; desk = organisation: ACME  ltd ;door=uids:2,3")
PEOPLE = {"ann": "Acme Ltd", "bob": "", "carol": "acme LTD", "crm": "", "desk": "", "door": ""}  # uids 1 to 6


class Office(House):
    """A house whose homes tell the feed what they are told to tell."""

    def __init__(self, directory, store_url):
        super().__init__(directory, store_url)
        self.versions: dict[int, int] = {}

    async def tells(self, uid: int, *statuses: str, again: int = 0) -> None:
        """The home of `uid` publishes one change for each status; `again`: the last so many are published once more."""
        messages: list[Outgoing] = []
        handle = list(PEOPLE)[uid - 1]
        for status in statuses:
            self.versions[uid] = version = self.versions.get(uid, 0) + 1
            event = StatusChanged(
                at=1.7e9 + version, cause="c", handle=handle, status=status, previous="x", note="", chosen=status, until=None
            )
            (event,) = in_stream([event], f"user-{uid}", version - 1)
            messages += presence_feed(Committed(version, event, None), "h1", 0, 0)
        await self.broker.publish(messages + messages[len(messages) - again :])
        for server in self.running:
            feed = server.presence_view.feed
            await eventually(lambda feed=feed: feed.users.get(uid) and feed.users[uid].version == self.versions[uid])


class Ear(Window):
    """A subscriber's outlet."""

    def told(self) -> list[tuple[str, str]]:
        """(id, status) of each change."""
        return [(body["id"], body["data"]["status"]) for body in self.bodies("presence")]

    @property
    def cursor(self) -> str:
        return [part.cursor for part in self.parts if part.cursor][-1]


@pytest.fixture
async def office(tmp_path, store_url):
    office = Office(tmp_path, store_url)
    await office.broker.start()
    await office.broker.wait_connected(5)
    yield office
    for server in list(office.running):
        await office.closes(server)
    await office.broker.close()


@pytest.fixture
async def server(office):
    server = await office.opens(integrators=GRANTS)
    await office.home("h1")
    for handle, organisation in PEOPLE.items():
        await server.register(handle, PASSWORD, {"organisation": organisation}, HERE)
    await server.presence_view.reader.caught_up.wait()
    return server


async def as_(server: GlobalServer, handle: str) -> Identity:
    return who(server, await server.token(handle, PASSWORD, HERE))


def standing(page) -> dict[str, str]:
    return {state.handle: state.status for state in page.users}


async def test_a_snapshot_and_the_stream_from_its_cursor_are_complete(office, server):
    crm = await as_(server, "crm")
    await office.tells(1, "online", "away")
    page = await server.presence(crm, None, 1_000, 0)
    assert standing(page) == {"ann": "away"} | dict.fromkeys(("bob", "carol", "crm", "desk", "door"), "offline")
    assert msgspec.structs.asdict(page.users[0]) | {"since": ""} == {
        "uid": 1,
        "handle": "ann",
        "home": "h1",
        "status": "away",
        "since": "",
        "id": "h1/user-1/2",
    }
    assert (page.users[1].since, page.users[1].id, page.next) == (None, None, None)
    await office.tells(1, "offline")
    ear = Ear()
    server.subscribe(crm, None, page.cursor, ear)
    await office.tells(2, "online", "offline", again=2)
    await eventually(lambda: len(ear.told()) == 3)
    assert ear.told() == [("h1/user-1/3", "offline"), ("h1/user-2/1", "online"), ("h1/user-2/2", "offline")]
    assert ear.parts[0].name == "homes"


async def test_cursors_outlive_a_restart_with_and_without_the_checkpoint(office, server):
    crm = await as_(server, "crm")
    await office.tells(1, "online")
    cursor = (await server.presence(crm, None, 1_000, 0)).cursor
    await office.tells(1, "away", "offline", again=2)
    checkpoint = server.config.directory / "presence.projection"
    await office.closes(server)
    assert checkpoint.exists()
    for there in (True, False):
        if not there:
            checkpoint.unlink()
        restarted = await office.opens(integrators=GRANTS)
        await restarted.presence_view.reader.caught_up.wait()
        ear = Ear()
        restarted.subscribe(crm, None, cursor, ear)
        assert ear.told() == [("h1/user-1/2", "away"), ("h1/user-1/3", "offline")], there
        await office.closes(restarted)


async def test_a_log_that_was_made_anew_is_a_gap_and_not_mistaken_for_the_old_one(office, server):
    crm = await as_(server, "crm")
    await office.tells(1, "online", "away")
    cursor = (await server.presence(crm, None, 1_000, 0)).cursor
    await office.closes(server)
    await office.broker.close()
    for file in office.directory.glob("broker.db*"):
        file.unlink()
    office.broker, office.versions = EmbeddedBroker(office.directory / "broker.db"), {}
    await office.broker.start()
    await office.broker.wait_connected(5)
    await office.tells(2, "online", "away", "offline")
    again = await office.opens(integrators=GRANTS)
    await again.presence_view.reader.caught_up.wait()
    with pytest.raises(Gap):
        again.subscribe(crm, None, cursor, Ear())
    assert standing(await again.presence(crm, frozenset({1, 2}), 1, 0)) == {"ann": "unknown", "bob": "offline"}


async def test_an_integrator_is_cut_off_when_another_era_begins_and_his_cursor_is_refused(office, server):
    """While he is connected, and when he comes back."""
    crm, ear = await as_(server, "crm"), Ear()
    await office.tells(1, "online", "away")
    server.subscribe(crm, None, "0", ear)
    await eventually(lambda: len(ear.told()) == 2)
    await server.lifecycle.eras.stop()  # which would look at the stream and find the era of before
    eras = server.lifecycle.eras.eras
    eras.learn(topology.PRESENCE_LOG, Era(eras.known[topology.PRESENCE_LOG].number + 1))
    await eventually(lambda: ear.aborted)
    await server.presence_view.reader.caught_up.wait()
    for cursor in (ear.cursor, "0"):
        with pytest.raises(Gap):
            server.subscribe(crm, None, cursor, Ear())
    page = await server.presence(crm, frozenset({1}), 1_000, 0)
    assert standing(page) == {"ann": "away"}
    server.subscribe(crm, None, page.cursor, Ear())


async def test_nobody_sees_more_than_was_granted(office, server):
    ann, desk, door = [await as_(server, handle) for handle in ("ann", "desk", "door")]
    with pytest.raises(NotAnIntegrator):
        await server.presence(ann, None, 1_000, 0)
    with pytest.raises(NotAnIntegrator):
        server.subscribe(ann, None, None, Ear())
    assert set(standing(await server.presence(desk, None, 1_000, 0))) == {"ann", "carol"}
    assert set(standing(await server.presence(door, None, 1_000, 0))) == {"bob", "carol"}
    for uids, names in (({1, 2}, [2]), ({1, 99}, [99])):
        with pytest.raises(NotGranted) as refused:
            await server.presence(desk, uids, 1_000, 0)
        assert refused.value.extra["uids"] == names
    ears = {handle: Ear() for handle in ("desk", "door", "one")}
    server.subscribe(desk, None, None, ears["desk"])
    server.subscribe(door, None, None, ears["door"])
    server.subscribe(door, {3}, None, ears["one"])
    for uid in (1, 2, 3):
        await office.tells(uid, "online")
    await eventually(lambda: ears["one"].told())
    assert {handle: [id_ for id_, _ in ear.told()] for handle, ear in ears.items()} == {
        "desk": ["h1/user-1/1", "h1/user-3/1"],
        "door": ["h1/user-2/1", "h1/user-3/1"],
        "one": ["h1/user-3/1"],
    }
    await server.change_profile(ann, {"organisation": "Elsewhere"})
    assert set(standing(await server.presence(desk, None, 1_000, 0))) == {"carol"}


async def test_a_token_from_before_the_grant_or_after_its_end_is_no_good(office, server):
    crm = await as_(server, "crm")
    await office.closes(server)
    other = await office.opens(integrators=read_grants("ann=all"))
    await other.presence_view.reader.caught_up.wait()
    with pytest.raises(NotAnIntegrator):
        await other.presence(crm, None, 1_000, 0)
    before = Identity(1, "ann", "Ann", "h1", "", 9e9)
    with pytest.raises(NotAnIntegrator):
        await other.presence(before, None, 1_000, 0)


async def test_a_snapshot_is_made_in_turn_and_of_one_moment(office, server):
    """Everybody's presence changes while a page is made: it holds what its cursor says, and the stream tells the rest."""
    crm = await as_(server, "crm")
    await office.tells(1, "online")
    steps, page = server.scheduler.steps, await server.presence(crm, None, 1_000, 0)
    assert server.scheduler.steps > steps
    making = asyncio.ensure_future(server.presence(crm, None, 1_000, 0))
    await office.tells(1, "away")
    assert (await making).cursor >= page.cursor
    ear = Ear()
    server.subscribe(crm, None, (await making).cursor, ear)
    await office.tells(1, "offline")
    await eventually(lambda: ear.told()[-1:] == [("h1/user-1/3", "offline")])
    shown = standing(await making)["ann"]
    assert [status for _, status in ear.told()] == {"online": ["away", "offline"], "away": ["offline"]}[shown]


async def test_pages_hold_everybody_once(server):
    crm, door = await as_(server, "crm"), await as_(server, "door")
    for integrator, everybody in ((crm, list(PEOPLE)), (door, ["bob", "carol"])):
        for limit in (1, 2, 1_000):
            handles, after = [], 0
            while after is not None:
                page = await server.presence(integrator, None, limit, after)
                handles += [state.handle for state in page.users]
                after = page.next and int(page.next, 16)
            assert handles == everybody


async def test_a_slow_reader_keeps_only_its_position_and_goes_on_in_order(office, server):
    crm = await as_(server, "crm")
    ear = Ear()
    subscriber = server.subscribe(crm, None, None, ear)
    ear.slow = True
    await office.tells(1, *["online", "offline"] * 100)
    assert ear.told() == []
    ear.slow = False
    subscriber.resume()
    await eventually(lambda: len(ear.told()) == 200)
    assert [int(id_.rpartition("/")[2]) for id_, _ in ear.told()] == list(range(1, 201))


async def test_a_reader_too_slow_for_what_is_kept_is_cut(office, server):
    crm = await as_(server, "crm")
    forgetful = await office.opens(integrators=GRANTS, kept_changes=8)
    await forgetful.presence_view.reader.caught_up.wait()
    ear = Ear()
    subscriber = forgetful.subscribe(crm, None, None, ear)
    ear.slow = True
    await office.tells(1, *["online", "offline"] * 10)
    ear.slow = False
    subscriber.resume()
    assert ear.aborted
    assert ear.told() == []


async def test_a_reader_that_takes_nothing_for_two_blanks_is_cut(office, server):
    crm = await as_(server, "crm")
    fast, slow = Ear(), Ear()
    for ear in (fast, slow):
        server.subscribe(crm, None, None, ear)
    slow.slow = True
    blanks = server.presence_view.subscribers.blanks
    office.monotonic.now += 2.1 * blanks.interval_s
    for _ in range(32):
        blanks.tick()
    assert (fast.aborted, slow.aborted) == (False, True)
    assert [part.name for part in fast.parts] == ["homes", "blank"]


async def test_a_silent_home_is_told_and_its_users_are_left_as_they_were(office, server):
    crm = await as_(server, "crm")
    await office.tells(1, "online")
    ear = Ear()
    server.subscribe(crm, None, None, ear)
    assert ear.bodies("homes") == [{"silent": [], "blank_s": 30.0}]
    office.monotonic.now += 10
    await eventually(lambda: ear.bodies("homes")[-1]["silent"] == ["h1"])
    page = await server.presence(crm, frozenset({1}), 1, 0)
    assert (page.silent, standing(page)) == (["h1"], {"ann": "online"})
    late = Ear()
    server.subscribe(crm, None, None, late)
    assert late.bodies("homes")[0]["silent"] == ["h1"]
    await office.home("h1")
    await eventually(lambda: [each.bodies("homes")[-1]["silent"] for each in (ear, late)] == [[], []])


async def test_a_long_backlog_is_sent_one_portion_in_a_turn_of_the_loop(office, server):
    crm = await as_(server, "crm")
    cursor = (await server.presence(crm, None, 1_000, 0)).cursor
    await office.tells(1, *("online", "away") * (2 * PORTION))
    ear = Ear()
    server.subscribe(crm, None, cursor, ear)
    counts = []
    while len(ear.told()) < 4 * PORTION:
        counts.append(len(ear.told()))
        await asyncio.sleep(0)
    assert counts[0] == PORTION
    assert all(after - before <= PORTION for before, after in itertools.pairwise(counts))
    assert len(ear.told()) == len(set(ear.told())) == 4 * PORTION


async def test_what_is_no_change_is_passed_over(office, server):
    crm = await as_(server, "crm")
    ear = Ear()
    server.subscribe(crm, None, None, ear)
    other = {"id": "h1/user-1/9", "type": "flash.presence.changed.v9", "time": "", "data": {"uid": 1, "status": "x", "since": ""}}
    for junk in (b"junk", b"{}", json.dumps(other).encode()):
        await office.broker.publish([Outgoing(topology.PRESENCE, "presence.h1.1.online", junk)])
    await office.tells(1, "online")
    await eventually(ear.told)
    assert ear.told() == [("h1/user-1/1", "online")]


async def test_stopping_ends_every_stream(office, server):
    ear = Ear()
    server.subscribe(await as_(server, "crm"), None, None, ear)
    await office.closes(server)
    assert ear.closed


@pytest.mark.parametrize(
    "text", ["crm", "crm=", "crm=some", "crm=uids:", "crm=uids:0", "crm=uids:1,x", "crm=organisation:", "=all", "a=all;A=all", "crm=all:x"]
)
def test_grants_that_cannot_be_read_are_refused(text):
    with pytest.raises(ValueError):
        read_grants(text)
