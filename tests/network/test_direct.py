"""Who can be called by their home, and who is behind a firewall. Rule: a user who cannot be called gets their popups all the same."""

import pytest

from flash_sdk import Direct
from tests.network.conftest import Installations, Town
from tests.network.firewall import Firewall
from tests.support.waiting import eventually


@pytest.mark.parametrize("masquerades", [False, True], ids=["all inbound dropped", "NAT"])
async def test_behind_a_firewall_popups_come_over_the_back_connection(
    firewall: Firewall, town: Town, installations: Installations, masquerades: bool
) -> None:
    firewall.lets_out(masquerades=masquerades)
    ann = await town.moves_in("ann", "outside", installations.with_blanks)
    bob = await town.moves_in("bob", "inside", installations.with_blanks)
    await ann.looks()
    window = await bob.looks(direct=True)
    await eventually(lambda: window.calls)
    assert window.calls in ([Direct(False, "no_answer")], [Direct(False, "not_proven")])
    normal_s = await ann.pops_up_at(window, bob, town.ledger)
    await town.account(normal_s, f"cannot be called: {window.calls[0].why}")


async def test_in_the_open_popups_come_on_the_homes_call(firewall: Firewall, town: Town, installations: Installations) -> None:
    ann = await town.moves_in("ann", "inside", installations.with_blanks)
    bob = await town.moves_in("bob", "outside", installations.with_blanks)
    await ann.looks()
    window = await bob.looks(direct=True)
    await eventually(lambda: window.calls)
    normal_s = await ann.pops_up_at(window, bob, town.ledger)
    assert window.calls == [Direct(True)]
    await town.account(normal_s, "called directly")
