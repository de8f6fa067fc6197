"""`/readyz` speaks of this server alone: what makes it unready, and what is only told beside the answer. On 79ccbf3 a home whose inbox or
relay had ended, or whose disk was full, said that it was ready."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from broker import topology
from broker.port import Outgoing
from domain.errors import Unavailable
from servers.messaging.eras import Era
from servers.readiness import ReadinessConfig
from tests.servers.homes import Town
from tests.support.waiting import eventually

QUICK = ReadinessConfig(every_s=0.01, failing_s=0.05)


@pytest.fixture
async def town(tmp_path) -> AsyncIterator[Town]:
    town = Town(tmp_path)
    town.readiness = QUICK
    await town.start("h1")
    yield town
    await town.stop()


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (lambda life: life.writer.task, "writer"),
        (lambda life: life.inbox.task, "inbox"),
        (lambda life: life.outbox.mail.task, "relay of mail"),
        (lambda life: life.outbox.history.task, "relay of the history"),
    ],
)
async def test_a_home_is_not_ready_when_a_part_of_it_has_ended(town, task, name):
    home = town.homes["h1"]
    assert home.ready() == "The Global Server's public key is not known yet."  # nothing else is wrong
    await task(home.lifecycle).stop()
    assert home.ready() == f"The {name} has stopped; restart this server."
    if name == "writer":
        home.writer.start()  # nothing else could stop in order without it


async def test_a_home_whose_writer_stands_still_is_not_ready(town, monkeypatch):
    """The disk hangs, and nothing says so."""
    await town.closes("h1")
    town.readiness = replace(QUICK, still_s=0.2)
    home = await town.opens("h1")
    goes_on = threading.Event()
    put = home.lifecycle.store.put

    def hang(*arguments):
        goes_on.wait()
        return put(*arguments)

    monkeypatch.setattr(home.lifecycle.store, "put", hang)
    ann = town.person("ann", "h1")
    status = asyncio.create_task(home.set_status(ann.who, "away", "", None))
    with capture_logs() as logged:
        await eventually(lambda: "The writer has stood still for" in str(home.ready()))
        await eventually(lambda: any(entry["event"] == "server.not_ready" for entry in logged))
    goes_on.set()
    await status
    await eventually(lambda: "stood still" not in str(home.ready()))


async def test_a_home_that_cannot_commit_is_not_ready_until_it_can_though_nobody_tries(town, monkeypatch):
    home = town.homes["h1"]
    put = home.lifecycle.store.put

    def full(*arguments):
        raise Unavailable("The store is away: database or disk is full")

    monkeypatch.setattr(home.lifecycle.store, "put", full)
    with pytest.raises(Unavailable):
        await home.set_status(town.person("ann", "h1").who, "away", "", None)
    await eventually(lambda: home.ready() == "Nothing can be stored at the moment; the log says why.")
    monkeypatch.setattr(home.lifecycle.store, "put", put)
    await eventually(lambda: "stored" not in str(home.ready()))


async def test_what_is_wrong_elsewhere_is_told_beside_the_answer(town):
    """The history cannot be routed, and another server's mail is no mail: this home serves."""
    home = town.homes["h1"]
    town.broker.refuses.add(topology.EVENTS)
    why = home.ready()
    await town.broker.publish([Outgoing(topology.HOMES, "h1", b"junk", mandatory=True)])
    with capture_logs() as logged:
        await home.set_status(town.person("ann", "h1").who, "away", "", None)
        await eventually(lambda: len(home.warnings()) == 2)
        attempts = home.lifecycle.outbox.history.turns
        await eventually(lambda: home.lifecycle.outbox.history.turns > attempts + 1)
    assert home.ready() == why
    history, dead = home.warnings()
    assert history.startswith("Nothing is published of the history (flash.history, era 1), and ")
    assert history.endswith("positions wait: nobody takes flash.events")
    assert dead == "1 messages became dead letters since the start."
    told = [entry for entry in logged if entry["event"] == "outbox.refused"]
    assert [(entry["stream"], entry["detail"]) for entry in told] == [("history", "nobody takes flash.events")], "once, not each time"
    town.broker.refuses.clear()
    await eventually(lambda: home.lifecycle.outbox.history.lag == 0)
    assert home.warnings() == [dead]


async def test_a_stream_that_was_begun_anew_and_one_that_is_missing_are_named(town):
    """With the era, as RabbitMQ's administrator and `flash doctor` name them."""
    home = town.homes["h1"]
    ann = town.person("ann", "h1")
    await ann.opens()
    await town.settled()
    town.broker.refuses |= {topology.EVENTS, topology.PRESENCE}
    home.lifecycle.outbox.era_is(topology.HISTORY, Era(2))
    assert any(warning.startswith("flash.history is in era 2, which has this log up to 0 only: ") for warning in home.warnings())
    await home.set_status(ann.who, "away", "", None)
    missing = "Nothing is published of the mail (the stream flash.presence.log), and "
    await eventually(lambda: any(warning.startswith(missing) for warning in home.warnings()))
    town.broker.refuses.clear()
    await eventually(lambda: home.warnings() == [])


async def test_a_broker_that_is_away_makes_no_home_unready(town):
    home = town.homes["h1"]
    why = home.ready()
    await town.broker.close()
    assert home.warnings()[0] == "The broker is away: mail, presence and the history wait."
    await home.set_status(town.person("ann", "h1").who, "away", "", None)
    await eventually(lambda: home.lifecycle.outbox.history.refused)
    assert home.ready() == why
    await town.broker.start()
    await town.broker.wait_connected(5)
    await eventually(lambda: home.lifecycle.outbox.history.lag == 0)
    assert home.ready() == why
