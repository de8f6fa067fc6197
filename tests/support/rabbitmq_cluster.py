"""Three RabbitMQ nodes on loopback addresses of their own. Rule: a test can cut the traffic between two nodes, and only that.

Each node has an address (127.0.77.1, …) for its clients and its peers; they share one port, one cookie and one epmd. `cut` drops every
packet between one node and the others, without a reset, by a table of nftables that is ours alone; that needs root.
"""

import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from tests.support.ports import free_ports
from tests.support.rabbitmq import START_TIMEOUT_S, PrivateRabbit, answers
from tests.support.waiting import wait_until

# A node that says nothing for so long (at most 1.25 times) is down. RabbitMQ's own 60 would make the test wait; with 4, nodes that started
# side by side on a busy machine took each other for down before the cluster was complete.
TICK_S = 10
RUNNING = "length([N || N <- [node() | nodes()], rpc:call(N, rabbit, is_running, []) =:= true])."
COOKIE = "flashclustertest"
TABLE = "flash_cluster_test"


class ClusterNode(PrivateRabbit):
    """One of them."""

    def __init__(self, directory: Path, number: int, ports: tuple[int, int, int]) -> None:
        super().__init__(directory)
        self._port, self._dist_port, self._epmd_port = ports
        self._address = f"127.0.77.{number}"
        self.node = f"flash{number}@{self._address}"
        self.peers: list[str] = []

    @property
    def address(self) -> str:
        """The address at which clients and peers find the node."""
        return self._address

    def _start_epmd(self) -> None:
        """Does nothing, because one epmd runs for the whole cluster."""

    def _prepare(self) -> None:
        super()._prepare()
        with (self.directory / "rabbitmq.conf").open("a") as conf:
            conf.write(f"listeners.tcp.1 = {self._address}:{self._port}\ncluster_partition_handling = pause_minority\n")
        # Here, not in the file above: RabbitMQ 3 waits a random time without that delay, and 4 refuses settings that it does not know.
        formation = "{peer_discovery_backend, rabbit_peer_discovery_classic_config}, {randomized_startup_delay_range, {0, 0}}"
        nodes = ", ".join(f"'{peer}'" for peer in self.peers)
        rabbit = f"{{rabbit, [{{cluster_formation, [{formation}]}}, {{cluster_nodes, {{[{nodes}], disc}}}}]}}"
        (self.directory / "advanced.config").write_text(f"[{{kernel, [{{net_ticktime, {TICK_S}}}]}}, {rabbit}].\n")

    def _environment(self) -> Mapping[str, str]:
        ours = self._address.replace(".", ",")
        interface = f"-kernel inet_dist_use_interface {{{ours}}} -kernel inet_dist_connect_options [{{ip,{{{ours}}}}}]"
        return super()._environment() | {
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{interface} -setcookie {COOKIE} +sbwt none +sbwtdcpu none +sbwtdio none",
            "RABBITMQ_CTL_ERL_ARGS": f"-setcookie {COOKIE}",
        }


class RabbitCluster:
    """The nodes. `directory`: one folder for each below it."""

    def __init__(self, directory: Path, count: int = 3) -> None:
        port, self._epmd_port, *dist_ports = free_ports(2 + count)
        self.nodes = [
            ClusterNode(directory / f"n{number}", number, (port, dist_port, self._epmd_port))
            for number, dist_port in enumerate(dist_ports, 1)
        ]
        for number, node in enumerate(self.nodes, 1):
            # Those that run when it starts for the first time, and itself: RabbitMQ 4 waits for others that it is told of.
            node.peers = [each.node for each in self.nodes[:number]]
        self._epmd: subprocess.Popen[bytes] | None = None
        self._formed = False

    @property
    def url(self) -> str:
        """All of them, as `FLASH_BROKER_URL` takes it."""
        return ",".join(node.url for node in self.nodes)

    def start(self) -> None:
        """Start whatever does not run; return when all take connections and know each other."""
        if self._epmd is None:
            addresses = ",".join(node.address for node in self.nodes)
            self._epmd = subprocess.Popen(["epmd", "-port", str(self._epmd_port), "-address", addresses], stdin=subprocess.DEVNULL)
            wait_until(lambda: answers(self._epmd_port), START_TIMEOUT_S, "epmd starts")
        try:
            self._start_nodes()
        except AssertionError:
            if self._formed:
                raise
            for node in self.nodes:  # the nodes took each other for down while they started, so begin again with empty data
                node.close()
                shutil.rmtree(node.directory, ignore_errors=True)
            self._start_nodes()
        self._formed = True

    def _start_nodes(self) -> None:
        for node in self.nodes:  # the first makes the cluster, the others join it
            node.start()
        wait_until(self.whole, START_TIMEOUT_S, "the nodes form one cluster")

    def whole(self) -> bool:
        """Whether every node runs and sees all others."""
        return all(self.running(node) == len(self.nodes) for node in self.nodes)

    def running(self, node: ClusterNode) -> int:
        """How many running nodes this node sees; 0 when it does not run itself."""
        try:
            return int(node.ctl("eval", RUNNING))
        except subprocess.SubprocessError:
            return 0

    def new_vhost(self, name: str) -> str:
        """The URLs of a fresh, empty vhost."""
        first = self.nodes[0]
        first.ctl("add_vhost", name)
        first.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return ",".join(node.url.removesuffix("%2F") + quote(name, safe="") for node in self.nodes)

    def cut(self, node: ClusterNode) -> None:
        """Cut the node off from its peers; its clients still reach it."""
        rules = [
            f"add rule inet {TABLE} out ip saddr {a.address} ip daddr {b.address} drop"
            for other in self.nodes
            if other is not node
            for a, b in ((node, other), (other, node))
        ]
        chain = f"add table inet {TABLE}\nadd chain inet {TABLE} out {{ type filter hook output priority 0; }}\n"
        subprocess.run(["nft", "-f", "-"], input=chain + "\n".join(rules), text=True, check=True, capture_output=True)

    def mend(self) -> None:
        """Let everything pass again."""
        with suppress(subprocess.CalledProcessError):  # nothing was cut
            subprocess.run(["nft", "delete", "table", "inet", TABLE], check=True, capture_output=True)

    def close(self) -> None:
        """End every process, and remove the cuts."""
        self.mend()
        for node in self.nodes:
            node.close()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
