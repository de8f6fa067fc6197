"""What stands behind the ops console's pages, on a real store, broker and audit. Rule: nobody sees anything that is not noted first."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from broker.embedded.broker import EmbeddedBroker
from broker.envelope import EventRecord
from broker.port import Outgoing
from broker.topology import EVENTS, HOMES
from domain.errors import Unavailable, UnknownUser
from projections.audit.rows import AuditFilter
from servers.audit.audit import Audit
from servers.global_server.assembly import assemble
from servers.global_server.config import GlobalConfig
from servers.global_server.console import ConsoleConfig, OpsConsole
from servers.messaging.private_questions import PrivateAnswers
from servers.security.identity import Identity
from servers.security.passwords import CHEAP
from servers.trust.publications import HistorySigner
from tests.servers.homes import STANDS_STILL
from tests.servers.strangers import beats, enrols
from tests.support.waiting import eventually

NOW = 1_700_000_000.0
OPAL = Identity(uid=9, handle="opal", name="Opal", home="h1", home_url="", expires_at=NOW + 60, roles=frozenset({"ops"}))


class Office:
    """A console and what it stands on. `now`: its clock."""

    def __init__(self, folder: Path, store_url: str) -> None:
        self.now = NOW
        self.broker = EmbeddedBroker(folder / "broker.db")
        config = GlobalConfig(store_url, folder, ops=frozenset({"opal"}), password_cost=CHEAP, clock=STANDS_STILL)
        self.audit = Audit(self.broker, folder / "audit.db")
        self.server = assemble(config, self.broker, clock=lambda: self.now)
        self.console = OpsConsole(self.server, self.audit)
        self._told = 0
        self._h1: HistorySigner | None = None

    async def start(self) -> None:
        await self.broker.start()
        await self.broker.wait_connected(5)
        await self.audit.open()
        await self.server.start()
        self.audit.start()

    async def stop(self) -> None:
        self.console.stop()
        await self.server.stop()
        await self.audit.stop()
        await self.broker.close()

    async def happen(self, count: int) -> None:
        """So many events of h1, which signs them, reach the audit in one message."""
        if self._h1 is None:
            records_of_trust = self.server.lifecycle.trust.records
            self._h1 = HistorySigner(await enrols(self.broker, records_of_trust, "h1", "http://h1", lambda: self.now), lambda: self.now)
        first, self._told = self._told + 1, self._told + count
        data = msgpack.packb({"at": self.now, "cause": "c", "handle": "ann", "name": "Ann"})
        records = [EventRecord(number, "user-1", number, "user.adopted", self.now, data) for number in range(first, first + count)]
        body = self._h1.publication(1, (7, 0, 0), first - 1, self._told, records)
        await self.broker.publish([Outgoing(EVENTS, "h1.1", body)])

        async def known() -> bool:
            rows = (await self.audit.log(AuditFilter(source="h1"), order="newest", limit=1)).rows
            return [row.position for row in rows] == [self._told]

        await eventually(known)

    async def noted(self, *expected: tuple[str, str]) -> None:
        """These looks of opal's, and no others, come to be in the history."""
        wanted = AuditFilter(topics=("audit.read",))

        async def looks() -> bool:
            rows = (await self.audit.log(wanted, order="oldest")).rows
            told = [msgpack.unpackb(row.data) for row in rows]
            assert {row.stream for row in rows} <= {"audit-9"}
            return [(fields["what"], fields["whom"]) for fields in told] == list(expected)

        await eventually(looks)


@pytest.fixture
async def office(tmp_path: Path, store_url: Callable[[str], str]) -> AsyncIterator[Office]:
    office = Office(tmp_path, store_url("global"))
    await office.start()
    yield office
    await office.stop()


async def test_every_look_is_in_the_history(office: Office) -> None:
    await office.happen(1)
    console = office.console
    ann = await console.person("ANN")
    assert (await console.person("1")) == ann
    await console.events(OPAL, AuditFilter(user=1, topics=("user.adopted",)), None, 10)
    await console.moment(OPAL, ann, NOW)
    await console.trace(OPAL, "m1")
    await console.online(OPAL, NOW)
    tail = console.tail(OPAL, AuditFilter(), "0")
    await anext(tail)
    await tail.aclose()
    await office.noted(
        ("log", "user 1, topic user.adopted"),
        ("timeline", f"user 1 at {NOW:.3f}"),
        ("trace", "message m1"),
        ("online", f"at {NOW:.3f}"),
        ("tail", ""),
    )


async def test_only_those_may_look_whom_both_the_token_and_the_settings_name(office: Office) -> None:
    assert office.console.allows(OPAL)
    assert not office.console.allows(replace(OPAL, roles=frozenset({"integrator"})))
    assert not office.console.allows(replace(OPAL, handle="otto"))  # who was named when the token was given


async def test_what_cannot_be_noted_is_not_shown(office: Office) -> None:
    await office.happen(1)
    ann = await office.console.person("ann")
    await office.server.writer.stop()
    await office.broker.publish([Outgoing(HOMES, "global", b"junk", mandatory=True)])
    await eventually(office.broker.dead_letters)
    looks = [
        office.console.events(OPAL, AuditFilter(), None, 10),
        office.console.moment(OPAL, ann, NOW),
        office.console.trace(OPAL, "m1"),
        office.console.online(OPAL, NOW),
        anext(office.console.tail(OPAL, AuditFilter(), "0")),
        office.console.requeue(OPAL, None),
        office.console.drop(OPAL, [letter.id for letter in await office.broker.dead_letters()]),
    ]
    for look in looks:
        with pytest.raises(Unavailable):
            await look
    assert len(await office.broker.dead_letters()) == 1


async def test_a_tail_tells_what_comes_then_and_says_when_it_left_something_out(office: Office) -> None:
    await office.happen(2)
    tail = office.console.tail(OPAL, AuditFilter(user=1), office.console.newest())
    await office.happen(3)
    rows, cut = await anext(tail)
    assert ([row.version for row in rows], cut) == ([3, 4, 5], False)
    await office.happen(ConsoleConfig().tail_rows + 1)
    rows, cut = await anext(tail)
    assert (len(rows), cut) == (ConsoleConfig().tail_rows, True)
    await office.happen(1)
    rows, cut = await anext(tail)
    assert (len(rows), cut) == (1, False), "it does not run after what it left out"
    await tail.aclose()


async def test_a_quiet_tail_sends_blanks_and_ends_with_the_token(office: Office) -> None:
    console = OpsConsole(office.server, office.audit, ConsoleConfig(blank_s=0.02))
    tail = console.tail(OPAL, AuditFilter(user=1), office.console.newest())
    assert await anext(tail) == ((), False)
    office.now = OPAL.expires_at
    with pytest.raises(StopAsyncIteration):
        while True:
            assert await anext(tail) == ((), False)


async def test_a_tail_ends_with_the_server(office: Office) -> None:
    tail = office.console.tail(OPAL, AuditFilter(user=1), office.console.newest())
    office.console.stop()
    with pytest.raises(StopAsyncIteration):
        await anext(tail)


async def test_homes_that_say_nothing_or_nonsense_are_shown_as_such(office: Office) -> None:
    console = OpsConsole(office.server, office.audit, ConsoleConfig(health_timeout_s=0.05))
    trusts = {}
    for name in ("h1", "h2", "h3"):
        trusts[name] = await enrols(office.broker, office.server.lifecycle.trust.records, name, f"http://{name}", lambda: office.now)

    async def answers(source: str, body: bytes) -> bytes:
        assert source == "global"
        return msgpack.packb({"ready": None, "sessions": 5, "question": msgpack.unpackb(body)["ask"]})

    async def babbles(body: bytes, asker: str = "") -> bytes:
        return b"\xc1"

    ours = PrivateAnswers(trusts["h1"], answers, babbles, trusts["h1"].peers.learn, lambda name: None)
    await office.broker.serve("home.h1", ours.answer)
    await office.broker.serve("home.h2", babbles)
    await beats(office.broker, trusts["h1"])
    await eventually(lambda: office.server.lifecycle.peers.is_up("h1"))
    seen = {home.name: home for home in await console.homes()}
    assert seen["h1"].health == {"ready": None, "sessions": 5, "question": "health"}
    assert (seen["h1"].up, seen["h2"].up) == (True, False)
    assert seen["h2"].health is None
    assert seen["h3"].health is None


@pytest.mark.parametrize("who", ["nobody", "0", "2", "9" * 18, "9" * 19, "0" * 30, "ann bob", ""])
async def test_nobody_else_is_found(office: Office, who: str) -> None:
    await office.happen(1)
    with pytest.raises(UnknownUser):
        await office.console.person(who)
