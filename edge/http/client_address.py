"""The client's address when proxies stand in between. Rule: only a proxy that the settings name is believed about another address.

Of `X-Forwarded-For` the rightmost hop that is no trusted proxy counts: everything left of it, the client may have written itself.
`Forwarded` is not read: a proxy passes on unchanged whichever of the two it does not write, and nginx, haproxy and squid write this one.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from edge.http.messages import Call
from servers.security.addresses import IP, ip_of

Network = IPv4Network | IPv6Network
HEADER = "X-Forwarded-For"
MAX_HOPS = 16  # a chain of proxies has two or three; nobody makes us parse more


class TrustedProxies:
    """The proxies in front of this server, as its settings name them."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    def client_of(self, call: Call) -> str:
        """The client's IP address; empty when it is gone."""
        peer = call.connection.client[0]
        if not self._networks:
            return peer
        getall = getattr(call.headers, "getall", None)  # a header may come in several lines, which are one list
        return self.choose(peer, getall(HEADER, ()) if getall is not None else ())

    def stands_between(self, call: Call) -> bool:
        """Whether the peer is a proxy, as far as a server can tell: the settings name it, or its headers say so."""
        peer = _address(call.connection.client[0])
        return peer is None or self._trusts(peer) or any(name in call.headers for name in (HEADER, "Forwarded", "Via"))

    def choose(self, peer: str, lines: Iterable[str]) -> str:
        """The client's address. `peer`: the address that has connected; `lines`: the header's values, in order."""
        client = _address(peer)
        if client is None:
            return peer
        for hop in reversed(",".join(lines).rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            if not self._trusts(client):
                break
            before = _address(hop)
            if before is None:  # "unknown", a name, nothing: then the proxy that says so is the nearest address that we know
                break
            client = before
        return str(client)

    def trusts(self, peer: str) -> bool:
        """Whether this is one of the proxies, which speaks for others."""
        return bool(self._networks) and (address := _address(peer)) is not None and self._trusts(address)

    def _trusts(self, address: IP) -> bool:
        return any(address in network for network in self._networks)


def _address(text: str) -> IP | None:
    """An address, perhaps in brackets, perhaps with a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return ip_of(text)
