"""A cluster of three RabbitMQ nodes: each killed, and each cut off from the others. Rule: two of three nodes are a broker.

`FLASH_TEST_CLUSTER_ROUNDS=3` does it to every node; by default to one, chosen by chance.
"""

import asyncio
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.checker import Ledger, verify
from tests.faults.installation import Installation
from tests.faults.people import Crowd, Person, chatter
from tests.support.rabbitmq_cluster import ClusterNode, RabbitCluster
from tests.support.waiting import eventually

ROUNDS = int(os.environ.get("FLASH_TEST_CLUSTER_ROUNDS") or 1)
BACK_S = 60.0  # a node is given up after 13 s, a connection to it after 15, and two busy cores start a node in 10
pytestmark = pytest.mark.timeout(180 * ROUNDS)
MEANWHILE = 100  # messages accepted while the node is away


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitCluster]:
    cluster = RabbitCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def standing(cluster: RabbitCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """As in the folder's other tests, but on the cluster: each server knows all three nodes."""
    installation = Installation(tmp_path_factory.mktemp("flash-on-cluster"), cluster.new_vhost("flash"))
    try:
        installation.start()
        yield installation
    finally:
        installation.kill()


@pytest.fixture
def installation(standing: Installation) -> Installation:
    return standing


@pytest.fixture
async def people(crowd: Crowd) -> list[Person]:
    return await crowd.settle_in(8)


async def a_popup_passes(people: list[Person], ledger: Ledger) -> None:
    """Send a popup from one home to the other, and wait until it is shown."""
    ann, bob = (next(person for person in people if person.home == home) for home in ("h1", "h2"))
    message = await ann.insists(bob, ledger)
    await eventually(lambda: any((ann.uid, message.id) in window.shown_once for window in bob.windows), BACK_S)


def victims(cluster: RabbitCluster, chance: random.Random) -> list[ClusterNode]:
    return chance.sample(cluster.nodes, ROUNDS)


async def test_queues_and_streams_have_a_copy_on_every_node(standing: Installation, cluster: RabbitCluster) -> None:
    listing = await asyncio.to_thread(cluster.nodes[0].ctl, "list_queues", "-p", "flash", "name", "type", "members")
    copies = {line.split("\t")[0]: line.count("flash") - line.split("\t")[0].count("flash") for line in listing.splitlines()[1:]}
    durable = {name for name in copies if name.startswith("flash.") and not name.startswith("flash.home.global")}
    assert {"flash.home.h1", "flash.home.h2", "flash.history", "flash.presence.log", "flash.dead"} <= durable
    assert {copies[name] for name in durable} == {3}, listing


async def test_any_node_is_killed_and_comes_back_while_people_talk(
    cluster: RabbitCluster, people: list[Person], ledger: Ledger, chance: random.Random, tell: Callable[[object], None]
) -> None:
    """The node is killed; the homes that were connected to it go to another node by themselves."""
    normal_s: list[float] = []
    for node in victims(cluster, chance):
        async with chatter(people, ledger, chance):
            await ledger.grown(chance.randint(20, 100))
            killed_at = time.monotonic()
            await asyncio.to_thread(node.kill)
            await a_popup_passes(people, ledger)
            normal_s.append(time.monotonic() - killed_at)
            await ledger.grown(MEANWHILE)
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(cluster.start)
            await ledger.grown(20)
        verdict = await verify(ledger, people)
    tell(f"{ROUNDS} rounds, normal after {', '.join(f'{s:.1f}' for s in normal_s)} s; {verdict}")


async def test_any_node_is_cut_off_and_comes_back_while_people_talk(
    cluster: RabbitCluster, people: list[Person], ledger: Ledger, chance: random.Random, tell: Callable[[object], None]
) -> None:
    """No packet passes between the node and the others. The node pauses, because it is the minority; the homes go to the majority."""
    if os.geteuid() != 0 or shutil.which("nft") is None:
        pytest.skip("cutting a node off takes root and nft (apt-get install nftables)")
    normal_s: list[float] = []
    for node in victims(cluster, chance):
        async with chatter(people, ledger, chance):
            await ledger.grown(chance.randint(20, 100))
            cut_at = time.monotonic()
            try:
                await asyncio.to_thread(cluster.cut, node)
                await eventually(lambda node=node: asyncio.to_thread(is_alone, cluster, node), BACK_S)
                await a_popup_passes(people, ledger)
                normal_s.append(time.monotonic() - cut_at)
                await ledger.grown(MEANWHILE)
            finally:
                await asyncio.to_thread(cluster.mend)
            await asyncio.to_thread(cluster.start)
            await ledger.grown(20)
        verdict = await verify(ledger, people)
    tell(f"{ROUNDS} rounds, normal after {', '.join(f'{s:.1f}' for s in normal_s)} s; {verdict}")


def is_alone(cluster: RabbitCluster, node: ClusterNode) -> bool:
    """Whether the others have given the node up."""
    return cluster.running(next(other for other in cluster.nodes if other is not node)) == len(cluster.nodes) - 1
