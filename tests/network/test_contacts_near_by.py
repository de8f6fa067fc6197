"""Two hosts of one private network, their homes outside: a popup goes from host to host. Rule: what goes wrong there, nobody notices.

The home commits first and sends its own copy in any case: each popup is an event once, is shown once, and has its receipts.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import flash_sdk
from flash_sdk.direct_port import DirectPort
from flash_sdk.peer_routes import PeerRoute, ticket_key
from servers.sessions.tickets import door_key
from tests.clients.sdk.raw import post_home
from tests.faults.checker import Accepted
from tests.faults.installation import Server
from tests.network.conftest import Town, server_outside
from tests.network.firewall import Firewall
from tests.network.namespaces import BESIDE, INSIDE, Place, place_beside
from tests.network.residents import AT_ONCE_S, Onlooker, Resident
from tests.network.timing import BLANK_S
from tests.support.waiting import eventually

PORT = 8070  # of the Global Server; the homes listen above
LONG_AGO = "2026-01-01T00:00:00.000000Z"


@pytest.fixture(scope="module")
def beside(middle: Place) -> Iterator[Place]:
    """A second host inside."""
    with place_beside(middle) as place:
        yield place


@pytest.fixture(scope="module")
def two_homes(outside: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An installation outside whose newcomers get either home in turn."""
    server = server_outside(tmp_path_factory.mktemp("two-homes"), PORT, BLANK_S, homes=2)
    try:
        outside.call(server.start)
        yield server
    finally:
        server.kill()


@dataclass
class Nearby:
    """Ann writes from one host to Bob, who listens on the other. They have different homes."""

    ann: Resident
    bob: Resident
    window: Onlooker  # Bob's
    town: Town
    data: Path

    @property
    def port(self) -> DirectPort:
        """Where Bob listens."""
        assert self.window.port is not None
        return self.window.port

    async def sends(self) -> tuple[flash_sdk.Accepted, float]:
        """Ann sends one, directly if that works; gives the answer of her home, and the seconds until Bob saw it."""
        clock = asyncio.get_running_loop().time
        began, id_ = clock(), self.ann.next_id(self.bob.uid)
        sending = asyncio.ensure_future(self.ann.place.run(self.ann.client.send(self.bob.uid, "pop over?", id=id_, direct=True)))
        await eventually(lambda: (self.ann.uid, id_) in self.window.shown_once, AT_ONCE_S)
        shown_s, accepted = clock() - began, await sending
        self.town.ledger.record(Accepted(self.ann.uid, self.bob.uid, id_, accepted.accepted_at))
        return accepted, shown_s

    async def route(self, sender: Resident) -> PeerRoute:
        """A ticket of Bob's home."""
        return PeerRoute.of(await sender.place.run(post_home(sender.client, "/v1/tickets", {"to": self.bob.uid})))

    def told(self) -> tuple[int, int]:
        """How many events say that a message was sent, and that one was queued, at both homes together."""
        counts = []
        for topic in ("user.message_sent", "mailbox.message_queued"):
            number = 0
            for home in ("h1", "h2"):
                with contextlib.closing(sqlite3.connect(self.data / f"{home}.db")) as log:
                    number += log.execute("select count(*) from stored_events where topic = ?", (topic,)).fetchone()[0]
            counts.append(number)
        return counts[0], counts[1]


@pytest.fixture
async def nearby(firewall: Firewall, town: Town, beside: Place, two_homes: Server, masquerades: bool) -> Nearby:
    """Both at home, and nobody outside can call them."""
    firewall.lets_out(masquerades=masquerades)
    ann = await town.moves_in("ann", "inside", two_homes)
    bob = await town.moves_in("bob", beside, two_homes)
    assert {ann.home, bob.home} == {"h1", "h2"}
    await ann.looks()
    window = await bob.looks(direct=True)
    await eventually(lambda: window.calls)
    assert window.calls in ([flash_sdk.Direct(False, "no_answer")], [flash_sdk.Direct(False, "not_proven")])
    both = Nearby(ann, bob, window, town, Path(two_homes.environment["FLASH_DATA_DIR"]))
    await ann.pops_up_at(window, bob, town.ledger)  # now both homes know that Bob is on Ann's list
    return both


@pytest.mark.parametrize("masquerades", [True, False], ids=["behind one NAT", "behind one firewall"])
async def test_a_popup_crosses_the_local_network_while_no_home_can_reach_its_recipient(firewall: Firewall, nearby: Nearby) -> None:
    before = nearby.told()
    firewall.keeps_from(BESIDE)
    accepted, shown_s = await nearby.sends()
    assert accepted.direct
    assert (nearby.ann.uid, accepted.id) in nearby.window.shown_once
    assert (accepted.id, "delivered") not in nearby.ann.receipts
    await eventually(firewall.kept)  # the home's copy, which knocks in vain
    firewall.mends_the_cable()
    await eventually(lambda: (accepted.id, "delivered") in nearby.ann.receipts)
    await nearby.bob.place.run(nearby.window.client.done(accepted.id))
    await eventually(lambda: (accepted.id, "done") in nearby.ann.receipts)
    await nearby.town.account(shown_s, f"over the local network, with the way from the homes to {BESIDE} cut")
    assert [now - then for now, then in zip(nearby.told(), before, strict=True)] == [1, 1]


def held_by(nearby: Nearby, route: PeerRoute | None) -> None:
    """What Ann's client thinks that it holds."""
    nearby.ann.client.peer_routes.remember(nearby.bob.uid, route)


def over(nearby: Nearby, route: PeerRoute) -> PeerRoute:
    """A ticket that was right once, and is over."""
    agreed = nearby.port.agreed_key
    assert agreed is not None
    key = ticket_key(agreed, nearby.ann.uid, nearby.bob.uid, LONG_AGO)
    assert datetime.now(UTC).isoformat() > LONG_AGO
    return replace(route, expires_at=LONG_AGO, key=door_key(key))


@pytest.mark.parametrize("masquerades", [True], ids=["behind one NAT"])
async def test_whatever_is_wrong_with_the_short_way_the_homes_copy_is_there_at_once(
    nearby: Nearby, town: Town, two_homes: Server, beside: Place
) -> None:
    carol = await town.moves_in("carol", "inside", two_homes)
    await carol.pops_up_at(nearby.window, nearby.bob, town.ledger)
    anns, carols = await nearby.route(nearby.ann), await nearby.route(carol)
    assert (anns.address, carols.address) == (BESIDE, BESIDE)
    wrong: dict[str, Callable[[], PeerRoute | None]] = {
        "forged at the door": lambda: replace(anns, key=b"k" * 32),
        "forged at the home": lambda: replace(anns, ticket="forged"),
        "over": lambda: over(nearby, anns),
        "somebody else's at the door": lambda: replace(carols, ticket=anns.ticket),
        "somebody else's at the home": lambda: carols,
        "no ticket": lambda: None,
    }
    before, took = nearby.told(), {}
    for what, spoil in wrong.items():
        held_by(nearby, spoil())
        accepted, took[what] = await nearby.sends()
        assert not accepted.direct, what
    held_by(nearby, anns)
    assert (await nearby.sends())[0].direct  # it was not for another reason
    beside.command(
        "nft", "-f", "-", given=f"table inet near {{ chain in {{ type filter hook input priority 0; ip saddr {INSIDE} drop; }}; }}"
    )
    try:
        accepted, took["packets vanish"] = await nearby.sends()
    finally:
        beside.command("nft", "delete table inet near")
    assert not accepted.direct
    await nearby.bob.place.run(closed(nearby.port))
    held_by(nearby, anns)
    accepted, took["port closed"] = await nearby.sends()
    assert not accepted.direct
    said = ", ".join(f"{what} {seconds * 1000:.0f} ms" for what, seconds in took.items())
    await town.account(max(took.values()), f"by the home: {said}", len(took))
    assert [now - then for now, then in zip(nearby.told(), before, strict=True)] == [len(took) + 1, len(took) + 1]


async def closed(port: DirectPort) -> None:
    """Nobody listens there any more."""
    port.close()
