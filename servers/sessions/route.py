"""Where a client can be called directly. Rule: an address is told only to a client in the same network."""

from dataclasses import dataclass, field

from servers.security.addresses import ip_of, same_network


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """Where a session's client listens. `address`: the address at which its home sees it. `called`: its home has called it there, and it
    has proven that it knows `key`. `local`: what it calls its own address, for clients behind the same NAT; no home connects to that."""

    address: str
    port: int
    key: bytes = field(repr=False)
    called: bool = True
    local: str | None = None

    def from_where(self, asker: str) -> str | None:
        """The address to try for a client that is seen at `asker`; None when the two clients are in different networks."""
        local, seen = self.local, ip_of(self.address)
        if local is not None and ip_of(asker) == seen:
            return local
        there = self.called or (
            local is not None and ip_of(local) == seen
        )  # a firewall keeps the home out, and lets clients of the same network in
        return self.address if there and same_network(self.address, asker) else None
