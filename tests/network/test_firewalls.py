"""Firewalls that let connections out only, forget idle ones, and rewrite addresses. Rule: nobody outside ever connects to a client."""

import socket

import pytest

from tests.network.conftest import NO_BLANKS_PORT, Installations, Town
from tests.network.firewall import Firewall
from tests.network.namespaces import INSIDE, Place
from tests.network.residents import seconds_until
from tests.network.timing import BLANK_S, FORGETS_S, NO_BLANK_S
from tests.support.waiting import eventually


def reaches_inside() -> bool:
    """Whether somebody outside gets any answer, be it a refusal, from the client's address."""
    try:
        socket.create_connection((INSIDE, 9), timeout=0.5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


@pytest.mark.parametrize("masquerades", [False, True], ids=["all inbound dropped", "NAT"])
async def test_popups_come_in(firewall: Firewall, outside: Place, town: Town, installations: Installations, masquerades: bool) -> None:
    firewall.lets_out(masquerades=masquerades)
    assert not outside.call(reaches_inside)
    ann = await town.moves_in("ann", "outside", installations.with_blanks)
    bob = await town.moves_in("bob", "inside", installations.with_blanks)
    await ann.looks()
    window = await bob.looks()
    normal_s = await ann.pops_up_at(window, bob, town.ledger)
    for _ in range(10):
        await ann.sends(bob, town.ledger)
        await bob.sends(ann, town.ledger)
    assert not outside.call(reaches_inside)
    await town.account(normal_s, f"{window.transports[-1]}, {window.welcomes} login")


async def test_blanks_keep_what_a_firewall_would_forget(firewall: Firewall, town: Town, installations: Installations) -> None:
    """Nothing is said for twice as long as the firewall remembers; then a popup comes over the same connection."""
    firewall.lets_out(forgets_after_s=FORGETS_S)
    ann = await town.moves_in("ann", "outside", installations.with_blanks)
    bob = await town.moves_in("bob", "inside", installations.with_blanks)
    await ann.looks()
    window = await bob.looks()
    before = window.blanks
    await eventually(lambda: window.blanks - before >= 2 * FORGETS_S / BLANK_S, 4 * FORGETS_S)
    normal_s = await ann.pops_up_at(window, bob, town.ledger)
    assert (window.welcomes, window.reasons) == (1, [])
    await town.account(normal_s, f"forgets after {FORGETS_S:g} s, blank every {BLANK_S:g} s: the same connection all the time")


async def test_without_blanks_a_firewall_forgets(firewall: Firewall, outside: Place, town: Town, installations: Installations) -> None:
    """The home sends the popup again and again into nothing, and thinks that bob is there; his next login brings it, once."""
    firewall.lets_out(forgets_after_s=FORGETS_S)
    ann = await town.moves_in("ann", "outside", installations.without)
    bob = await town.moves_in("bob", "inside", installations.without)
    anns = await ann.looks()
    window = await bob.looks()
    await eventually(lambda: not firewall.knows(NO_BLANKS_PORT + 1), 4 * FORGETS_S + 5)
    sent = await ann.sends(bob, town.ledger)
    await eventually(lambda: outside.retransmits(NO_BLANKS_PORT + 1) >= 3, 20)
    assert (ann.uid, sent.id) not in window.shown_once
    assert anns.presence[bob.uid] == "online"
    await bob.place.run(window.die())
    await bob.place.run(window.start())
    normal_s = await seconds_until(lambda: (ann.uid, sent.id) in window.shown_once)
    await town.account(normal_s, f"forgets after {FORGETS_S:g} s, blank every {NO_BLANK_S:g} s: LOST the connection; popup at next login")
