"""What the middle lets through. Rule: each way is set up whole, so that nothing is left of the one before."""

from tests.network.namespaces import ALL_INSIDE, MIDDLE_IN, MIDDLE_OUT, Place

STATEFUL = """
table inet flash {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "in" ct state new accept
  }
}
"""
CLOSED = """
table inet flash {
  chain forward {
    type filter hook forward priority 0; policy drop;
  }
}
"""
MASQUERADE = """
table ip nat {
  chain leaving {
    type nat hook postrouting priority 100;
    oifname "out" masquerade
  }
}
"""


class Firewall:
    """The middle: a router, a stateful firewall, a NAT, or a pulled cable."""

    def __init__(self, inside: Place, middle: Place, outside: Place) -> None:
        self._inside, self._middle, self._outside = inside, middle, outside
        middle.command("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")

    def lets_out(self, *, forgets_after_s: float | None = None, masquerades: bool = False) -> None:
        """Connections begin inside only. `forgets_after_s`: drops silently what belongs to a connection idle for so long. Without
        masquerading, outside knows the way back."""
        self._rules(STATEFUL + (MASQUERADE if masquerades else ""))
        forgetting_s = 432_000 if forgets_after_s is None else int(forgets_after_s)  # Linux's own five days
        self._middle.command("sysctl", "-q", "-w", f"net.netfilter.nf_conntrack_tcp_timeout_established={forgetting_s}")
        self._middle.command("sysctl", "-q", "-w", "net.netfilter.nf_conntrack_tcp_loose=0")  # no connection is adopted halfway
        self._middle.command("conntrack", "-F")
        self._inside.command("ip", "route", "replace", "default", "via", MIDDLE_IN)
        if masquerades:
            self._outside.command("ip", "route", "flush", "exact", ALL_INSIDE)
        else:
            self._outside.command("ip", "route", "replace", ALL_INSIDE, "via", MIDDLE_OUT)

    def closes(self) -> None:
        """Nothing is forwarded, and inside knows no way out: what is left is the middle itself."""
        self._rules(CLOSED)
        self._inside.command("ip", "route", "flush", "exact", "default")

    def pulls_the_cable(self) -> None:
        """Packets vanish both ways, and nobody is told."""
        self._middle.command("nft", "insert rule inet flash forward drop")

    def mends_the_cable(self) -> None:
        """Packets pass again; the firewall remembers what it knew."""
        self._middle.command("nft", "-f", "-", given=f"flush chain inet flash forward\n{STATEFUL}")

    def keeps_from(self, address: str) -> None:
        """Nothing more reaches this one from outside, not even answers; what goes from host to host inside does not come by here."""
        self._middle.command("nft", f"insert rule inet flash forward ip daddr {address} counter drop")

    def kept(self) -> int:
        """How many packets it has kept back so."""
        return int(self._middle.command("nft", "list chain inet flash forward").partition("counter packets ")[2].split()[0])

    def forgets_everything(self) -> None:
        """As after a restart: packets of the connections it knew vanish from now on."""
        self._middle.command("conntrack", "-F")

    def knows(self, port: int) -> int:
        """How many established connections to this port it remembers."""
        table = self._middle.command("conntrack", "-L", "-p", "tcp", "--dport", str(port), "--state", "ESTABLISHED")
        return len(table.splitlines())

    def _rules(self, rules: str) -> None:
        self._middle.command("nft", "-f", "-", given=f"flush ruleset\n{rules}")
