"""h3 is enrolled and run by somebody who lies: it has its own keys and a connection to the broker, and no more. Rule: each lie is one that
worked before servers had an identity."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import MsgspecError, msgpack

from broker.embedded.broker import EmbeddedBroker
from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from servers.messaging.heartbeats import PURPOSE, Beat
from servers.messaging.private_questions import BoxedQuestion, PrivateRequests
from servers.messaging.questions import Announce, AskHealth, AskLife, AskPresence, AskTicket, AskUser, TicketRoute, home_key
from servers.sessions.route import DirectRoute
from servers.trust.trust import Trust
from tests.servers.homes import Person, Town, shown
from tests.servers.registry import House
from tests.servers.strangers import ask_as, beats
from tests.support.waiting import eventually

NEAR = "10.0.0.2"


async def people(town: Town) -> tuple[Person, Person]:
    """Ann at h1, who can be called, and Bob at h2, who watches her."""
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    session, _ = await ann.opens()
    session.route = DirectRoute("10.0.0.1", 40_123, b"k" * 32)
    await bob.opens()
    await bob.adds(ann)
    await town.settled()
    return ann, bob


async def test_it_hears_of_nobody_whom_its_users_do_not_watch(town: Town, liar: Trust) -> None:
    ann, bob = await people(town)
    everybody = AskPresence([ann.uid, bob.uid, 99])
    assert (await ask_as(liar, town.broker, "h1", everybody))["users"] == []
    told = await ask_as(town.homes["h2"].lifecycle.trust, town.broker, "h1", everybody)
    assert [user[0] for user in told["users"]] == [ann.uid]


async def test_it_gets_no_ticket_for_somebody_who_lives_elsewhere(town: Town, liar: Trust) -> None:
    ann, bob = await people(town)
    question = AskTicket(bob.uid, ann.uid, NEAR)
    assert msgpack.decode(msgpack.encode(await ask_as(liar, town.broker, "h1", question)), type=TicketRoute) == TicketRoute()
    assert (await ask_as(town.homes["h2"].lifecycle.trust, town.broker, "h1", question))["address"] == "10.0.0.1"


async def test_it_learns_no_figures_of_another_home(town: Town, liar: Trust) -> None:
    with pytest.raises(Unavailable):
        await _briefly(liar, town.broker, "h1", AskHealth())
    assert (await ask_as(town.registry.trust, town.broker, "h1", AskHealth()))["sessions"] == 0


async def test_it_cannot_ask_in_anothers_name_or_in_the_clear(town: Town, liar: Trust) -> None:
    ann, _ = await people(town)
    asked: list[bytes] = []

    class Listener:
        async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
            asked.append(body)
            raise Unavailable

    with pytest.raises(Unavailable):
        await PrivateRequests(Listener(), liar, lambda name: None, lambda card: None).request(
            home_key("h1"), msgpack.encode(AskPresence([ann.uid])), 1
        )  # type: ignore[arg-type]
    question = msgpack.decode(asked[0], type=BoxedQuestion)
    _, *rest = msgpack.decode(question.head)
    renamed = BoxedQuestion(msgpack.encode(["h2", *rest]), question.box)
    answers = town.homes["h1"].lifecycle.answers
    for forged in (renamed, BoxedQuestion(question.head, question.box[:-1] + b"?")):
        assert msgpack.decode(await answers.answer(msgpack.encode(forged)))["refused"]
    assert "box" in msgpack.decode(await answers.answer(asked[0]))
    assert "asked before" in msgpack.decode(await answers.answer(asked[0]))["refused"], "a recorded question is not answered again"
    with pytest.raises(MsgspecError, match="presence"):
        await answers.answer(msgpack.encode(AskPresence([ann.uid])))
    assert answers.refused == 3


async def test_it_cannot_answer_in_the_global_servers_place(town: Town, liar: Trust) -> None:
    """It serves the key of the Global Server, and says that Bob lives at h3."""
    bob, ann = town.person("bob", "h2"), town.person("ann", "h1")
    lie = msgpack.encode({"user": {"uid": bob.uid, "handle": "bob", "name": "Bob", "home": "h3"}})

    async def answers(body: bytes, asker: str = "") -> bytes:
        head = msgpack.decode(body, type=BoxedQuestion).head
        return msgpack.encode({"box": liar.boxes.close("h1", "answer", head, lie)})

    stolen = EmbeddedBroker(town.directory / "stolen.db")
    await stolen.start()
    await stolen.wait_connected(5)
    await stolen.serve(GLOBAL, answers)
    requests = PrivateRequests(stolen, ann.home.lifecycle.trust, lambda name: None, lambda card: None)
    with pytest.raises(Unavailable, match="forged"):
        await requests.request(GLOBAL, msgpack.encode(AskUser(bob.uid)), 5)
    await stolen.close()
    await ann.adds(bob)
    assert ann.home.projections.contacters.home_of[bob.uid] == "h2"


async def test_it_announces_itself_only(town: Town, liar: Trust, tmp_path: Path, store_url: Callable[[str], str]) -> None:
    (tmp_path / "global").mkdir()
    async with House.open(tmp_path / "global", store_url) as house:
        server = await house.opens()
        await house.home("h3")
        with pytest.raises(Unavailable):
            await _briefly(house.trusts["h3"], house.broker, GLOBAL, Announce("h1", "http://thief.example"))
        assert "h1" not in server.directory.homes


async def test_it_leaves_no_loss_of_another_home_for_the_ops_to_accept(
    town: Town, liar: Trust, tmp_path: Path, store_url: Callable[[str], str]
) -> None:
    """Neither in the clear, in whosever name, nor in its own box."""
    (tmp_path / "global").mkdir()
    async with House.open(tmp_path / "global", store_url) as house:
        server = await house.opens()
        await house.home("h3")
        lie = AskLife("h1", 5, 10, 17, "all is lost")
        told = msgpack.decode(await house.broker.request(GLOBAL, msgpack.encode(lie), 5))
        assert told == {"refused": "unknown question"}
        with pytest.raises(Unavailable):
            await _briefly(house.trusts["h3"], house.broker, GLOBAL, lie)
        assert server.lifecycle.registrar.losses.waiting == {}


async def test_it_cannot_beat_in_anothers_name_or_play_a_heartbeat_again(town: Town, liar: Trust) -> None:
    ann, bob = await people(town)
    peers = ann.home.lifecycle.peers
    true = town.homes["h2"].lifecycle.trust
    recorded = true.identity.signed(PURPOSE, Beat("h2", "its run", town.clock(), 10**9))
    await town.closes("h2")
    town.monotonic.now += 60
    await eventually(lambda: not peers.is_up("h2"))
    forged = liar.identity.signed(PURPOSE, Beat("h2", "a run", town.clock(), 1))
    await town.broker.send_heartbeat(forged)
    await town.broker.send_heartbeat(b"\xc1")
    await eventually(lambda: peers.refused == 2)
    assert not peers.is_up("h2")
    await town.broker.send_heartbeat(recorded)
    await eventually(lambda: peers.is_up("h2"))
    town.monotonic.now += 60
    await eventually(lambda: not peers.is_up("h2"))
    await town.broker.send_heartbeat(recorded)
    await eventually(lambda: peers.refused == 3)
    assert not peers.is_up("h2")
    await beats(town.broker, liar)
    await eventually(lambda: peers.is_up("h3"))
    await shown(lambda: bob.uid in ann.home.projections.presence.reported, False)


async def _briefly(trust: Trust, broker: EmbeddedBroker, to: str, question: object) -> None:
    """Ask what gets no answer."""
    requests = PrivateRequests(broker, trust, lambda name: None, lambda card: None)
    await requests.request(GLOBAL if to == GLOBAL else home_key(to), msgpack.encode(question), 0.2)
