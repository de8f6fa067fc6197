"""Proxies in front of clients and of homes. Rule: set up as docs/networks says they pass streams on; others are noticed."""

import contextlib
import itertools
import random
import time
from pathlib import Path

import pytest

from tests.network import software
from tests.network.conftest import BLANKS_PORT, Installations, Town
from tests.network.firewall import Firewall
from tests.network.namespaces import MIDDLE_IN, OUTSIDE, Place
from tests.network.residents import AT_ONCE_S, seconds_until, talking
from tests.network.timing import DEAD_S, SLACK_S
from tests.support.waiting import eventually

HOME = BLANKS_PORT + 1
FALL_S = 15.0  # two rungs and their pauses, on a busy machine
CLIMB_S = 40.0  # past some failed climbs, whose pauses double


async def test_squid_is_the_only_way_out(
    firewall: Firewall,
    inside: Place,
    middle: Place,
    town: Town,
    installations: Installations,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ann = await town.moves_in("ann", "outside", installations.with_blanks)
    await ann.looks()
    await ann.place.run(ann.client.contacts())  # a client looks its proxy up once: what is set below, is for bob
    firewall.closes()
    assert not inside.call(installations.with_blanks.ready), "there is another way out"
    with software.squid(middle, tmp_path):
        monkeypatch.setenv("HTTP_PROXY", f"http://{MIDDLE_IN}:{software.SQUID_PORT}")
        bob = await town.moves_in("bob", "inside", installations.with_blanks)
        window = await bob.looks()
        normal_s = await ann.pops_up_at(window, bob, town.ledger)
        for _ in range(10):
            await ann.sends(bob, town.ledger)
            await bob.sends(ann, town.ledger)
        before = window.blanks
        await eventually(lambda: window.blanks >= before + 2)
        assert (window.transports, window.reasons) == (["multipart"], [])
        await town.account(normal_s, "multipart through squid, blanks too")


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
async def test_set_up_as_we_say_it_passes_streams_on(
    firewall: Firewall, outside: Place, town: Town, installations: Installations, tmp_path: Path, kind: str
) -> None:
    """Multipart, blanks included; and one who leaves is gone at once for contacts, too."""
    ann = await town.moves_in("ann", "outside", installations.with_blanks)
    bob = await town.moves_in("bob", "inside", installations.with_blanks)
    anns = await ann.looks()
    port = {"nginx": 8181, "haproxy": 8182}[kind]
    start = {"nginx": software.nginx, "haproxy": software.haproxy}[kind]
    with start(outside, tmp_path, port, HOME):
        window = await bob.looks(through=f"http://{OUTSIDE}:{port}")
        normal_s = await ann.pops_up_at(window, bob, town.ledger)
        for _ in range(10):
            await ann.sends(bob, town.ledger)
            await bob.sends(ann, town.ledger)
        before = window.blanks
        await eventually(lambda: window.blanks >= before + 2)
        assert (window.transports, window.reasons) == (["multipart"], [])
        await town.account(normal_s, "multipart, blanks too")
        await bob.place.run(window.die())
        gone_s = await seconds_until(lambda: anns.presence[bob.uid] == "offline", DEAD_S + SLACK_S)
        assert (anns.changes[-1].reason, gone_s < AT_ONCE_S) == ("lost", True)


async def test_a_proxy_that_holds_back_and_one_that_stops_holding_back(
    firewall: Firewall, outside: Place, town: Town, installations: Installations, tmp_path: Path, chance: random.Random
) -> None:
    """Multipart, then a proxy that fills its buffers first: long polls; then a good one again: the multipart. People talk all the time."""
    ann = await town.moves_in("ann", "outside", installations.with_blanks)
    bob = await town.moves_in("bob", "inside", installations.with_blanks)
    await ann.looks()
    port = 8183
    with contextlib.ExitStack() as better:
        async with talking(ann, bob, town.ledger, chance):
            with software.nginx(outside, tmp_path / "good", port, HOME):
                window = await bob.looks(through=f"http://{OUTSIDE}:{port}")
                await town.ledger.grown(20)
                assert window.transports == ["multipart"]
            with software.nginx(outside, tmp_path / "holds", port, HOME, holds_back=True):
                fall_s = await seconds_until(lambda: window.transports[-1] == "poll", FALL_S)
                assert "held" in window.reasons
                shown = len(window.shown)
                normal_s = fall_s + await seconds_until(lambda: len(window.shown) > shown, FALL_S)
                await town.ledger.grown(20)
            better.enter_context(software.nginx(outside, tmp_path / "better", port, HOME))
            climb_s = await seconds_until(lambda: window.transports[-1] == "multipart", CLIMB_S)
            await town.ledger.grown(20)
        seen = " > ".join(name for name, _ in itertools.groupby(window.transports))
        await town.account(normal_s, f"{seen}; multipart {climb_s:.1f} s after the proxy was mended", rounds=3)


async def test_a_login_behind_a_proxy_that_holds_back(
    firewall: Firewall, outside: Place, town: Town, installations: Installations, tmp_path: Path
) -> None:
    """And the second login of the same process does not try in vain."""
    ann = await town.moves_in("ann", "outside", installations.with_blanks)
    bob = await town.moves_in("bob", "inside", installations.with_blanks)
    anns = await ann.looks()
    port = 8184
    with software.nginx(outside, tmp_path, port, HOME, holds_back=True):
        sent = await ann.sends(bob, town.ledger)
        began = time.monotonic()
        window = await bob.looks(through=f"http://{OUTSIDE}:{port}")
        await eventually(lambda: (ann.uid, sent.id) in window.shown_once)
        normal_s = time.monotonic() - began
        assert (window.transports, window.reasons[:2]) == (["poll"], ["held", "held"])
        before = len(anns.changes)
        await eventually(lambda: streams(outside, installations) > 1)  # besides ann's: bob's client tries whether streams flow by now
        await eventually(lambda: streams(outside, installations) == 1)
        assert (window.transports, anns.changes[before:]) == (["poll"], []), "contacts see nothing of it"
        again = await bob.looks(through=f"http://{OUTSIDE}:{port}")
        assert (again.transports[0], again.reasons) == ("poll", [])
        for _ in range(10):
            await ann.sends(bob, town.ledger)
            await bob.sends(ann, town.ledger)
        await town.account(normal_s, "multipart held, SSE held, long polls; the second login polls at once")


def streams(outside: Place, installations: Installations) -> float:
    """How many streams the home has open; polls are none."""
    return outside.call(installations.home.metric, "flash_back_connections_open")
