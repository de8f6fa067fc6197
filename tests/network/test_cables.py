"""Cables that are pulled: packets vanish, nobody is told. Rule: contacts know in 2.5 blanks, and nothing is left behind at the home."""

from tests.network.conftest import BLANKS_PORT, Installations, Town
from tests.network.firewall import Firewall
from tests.network.namespaces import Place
from tests.network.residents import seconds_until
from tests.network.timing import BLANK_S, DEAD_S, SLACK_S
from tests.support.waiting import eventually

HOME = BLANKS_PORT + 1
PULLS = 20
ASKED = 2  # connections of this test's own, for metrics


async def test_a_pulled_cable_is_a_logoff_within_two_and_a_half_blanks(
    firewall: Firewall, town: Town, installations: Installations
) -> None:
    """What is sent meanwhile waits; when the cable is in again, bob is back and has it."""
    ann = await town.moves_in("ann", "outside", installations.with_blanks)
    bob = await town.moves_in("bob", "inside", installations.with_blanks)
    anns = await ann.looks()
    window = await bob.looks()
    await eventually(lambda: anns.presence[bob.uid] == "online")
    firewall.pulls_the_cable()
    for _ in range(5):
        await ann.sends(bob, town.ledger)
    offline_s = await seconds_until(lambda: anns.presence[bob.uid] == "offline", DEAD_S + SLACK_S)
    assert anns.changes[-1].reason == "timeout"
    firewall.mends_the_cable()
    normal_s = await seconds_until(lambda: len(window.shown) == 5, 30)
    await town.account(normal_s, f"offline after {offline_s:.1f} s = {offline_s / BLANK_S:.2f} blanks")


async def test_twenty_half_open_connections_do_not_pile_up(
    firewall: Firewall, outside: Place, town: Town, installations: Installations
) -> None:
    """Each time the firewall forgets everything it knew, so that not even the end of the old connection gets through."""
    ann = await town.moves_in("ann", "outside", installations.with_blanks)
    bob = await town.moves_in("bob", "inside", installations.with_blanks)
    await ann.looks()
    window = await bob.looks()
    before = outside.tcp_connections(HOME)
    most = 0
    for _ in range(PULLS):
        firewall.forgets_everything()
        await bob.place.run(window.die())
        await bob.place.run(window.start())
        sent = await ann.sends(bob, town.ledger)
        await eventually(lambda id_=sent.id: (ann.uid, id_) in window.shown_once)  # type: ignore[misc]
        most = max(most, outside.tcp_connections(HOME))
    assert most > before, "no connection was ever half open: this test shows nothing"
    gone_s = await seconds_until(
        lambda: not outside.orphans(HOME) and of_home(outside, installations, "flash_sessions") == 2, DEAD_S + SLACK_S
    )
    assert of_home(outside, installations, "flash_back_connections_open") == 2, "ann's and bob's"
    left = outside.tcp_connections(HOME)
    assert left <= before + PULLS + ASKED, "besides the two, only idle request connections, which the home closes after 75 s"
    what = f"{before} connections before, {most} at most; after {gone_s:.1f} s 2 sessions, 2 back connections, {left - 2} idle for requests"
    await town.account(gone_s, what, rounds=PULLS)


def of_home(outside: Place, installations: Installations, metric: str) -> float:
    """A metric of the home, whose port is the one after the Global Server's."""
    return outside.call(installations.home.metric, metric)
