"""How many connections one address and one user hold. Rule: nobody holds so many that others find no place.

An address is one of IPv4, or the /64 of IPv6. Behind a trusted proxy it is the one that the proxy names, so it is known with a connection's
first request, and may be another one with the next.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from domain.errors import TooManyRequests, Unavailable
from edge.http.client_address import HEADER, TrustedProxies
from edge.http.limits import Limits
from runtime.bounds import Bound, Holding
from servers.security.addresses import subscriber_of

K = TypeVar("K", str, int)
UNFINISHED = Bound(
    name="unfinished_requests",
    holds="bytes of requests that have not come whole, by address",
    filled_by="addresses",
    past="an address at a quarter of the bytes, everybody at all of them reads `503`",
    within=("Shares.unfinished",),
    entries=Limits().max_connections,
    bytes=Limits().unfinished_bytes,
)


class Shares:
    """The connections of one server, counted by address and by user."""

    def __init__(self, limits: Limits, proxies: TrustedProxies) -> None:
        self.limits = limits
        self.proxies = proxies
        self.addresses: Counter[str] = Counter()
        self.users: Counter[int] = Counter()
        self.refused: Counter[str] = Counter()  # connections over a limit: of an `address`, of a `user`, of `unfinished` requests
        self.unfinished_bytes = 0  # of all requests that have not come whole
        self.unfinished: Counter[str] = Counter()  # the same by address

    def hold(self, address: str, more: int) -> None:
        """So many bytes more, or fewer, of requests that have not come whole. Raises `Unavailable` when they are too many."""
        self.unfinished_bytes += more
        self.unfinished[address] += more
        if not self.unfinished[address]:
            del self.unfinished[address]
        most = self.limits.unfinished_bytes
        if more > 0 and (self.unfinished_bytes > most or (address and self.unfinished[address] > most // 4)):
            self.refused["unfinished"] += 1
            raise Unavailable("Too many requests are under way; try again later.")

    def holdings(self) -> Iterator[Holding]:
        """What has come of requests."""
        bound = replace(UNFINISHED, bytes=self.limits.unfinished_bytes)
        yield bound.holding(len(self.unfinished), self.unfinished_bytes, refused=self.refused["unfinished"])


class Seat:
    """What one connection is counted under; it goes with the transport. An `address` of "" and a `uid` of 0 are not counted.

    `lent`: a proxy made the connection and uses it for one client after the other, so it is counted for each request only.
    """

    __slots__ = ("_shares", "_unfinished", "address", "lent", "uid")

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._unfinished = 0  # bytes of the request that is coming
        self.address = ""
        self.lent = False
        self.uid = 0

    def arrive(self, peer: str) -> None:
        """The connection is made. Raises `TooManyRequests`."""
        self.lent = self._shares.proxies.trusts(peer)
        if peer and not self.lent:
            self._come_from(peer)

    def name(self, peer: str, headers: Mapping[str, str]) -> None:
        """A request says through which proxies it came. Raises `TooManyRequests`."""
        if self.lent:
            getall = getattr(headers, "getall", None)  # the header may come in several lines, which are one list
            self._come_from(self._shares.proxies.choose(peer, getall(HEADER, ()) if getall is not None else ()))

    def receive(self, unfinished: int) -> None:
        """Of the request that is coming, so many bytes are here. Raises `Unavailable` when the requests of all take too much room."""
        if unfinished != self._unfinished:
            more, self._unfinished = unfinished - self._unfinished, unfinished
            self._shares.hold(self.address, more)

    def keep(self) -> None:
        """The connection stays with this client from now on."""
        self.lent = False

    def _come_from(self, client: str) -> None:
        address, shares = subscriber_of(client), self._shares
        if address == self.address:
            return
        self._leave_address()
        if shares.addresses[address] >= shares.limits.most_per_address:
            shares.refused["address"] += 1
            raise TooManyRequests("Too many connections from your address; use fewer, or wait a little.")
        shares.addresses[address] += 1
        self.address = address

    def belong_to(self, uid: int) -> None:
        """A request has proven whose connection it is. Raises `TooManyRequests`."""
        shares = self._shares
        self._leave_user()
        if shares.users[uid] >= shares.limits.per_user:
            shares.refused["user"] += 1
            raise TooManyRequests("You have too many connections; close some.")
        shares.users[uid] += 1
        self.uid = uid

    def leave(self) -> None:
        """The connection is gone, or the request of a `lent` one is answered. A second time changes nothing."""
        self.receive(0)
        self._leave_address()
        self._leave_user()

    def _leave_address(self) -> None:
        _one_less(self._shares.addresses, self.address)
        self.address = ""

    def _leave_user(self) -> None:
        _one_less(self._shares.users, self.uid)
        self.uid = 0


def _one_less(counter: Counter[K], key: K) -> None:
    if key:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]
