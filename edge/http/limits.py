"""What one client may cost a server. Rule: each bound says in its comment why it has this value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of connections. The server looks at its connections every `tick_s`, so it rounds all times up to ticks."""

    max_connections: int = 100_000
    per_address: int = 0  # 0: a quarter of all, so that one address alone fills no server; an office is far below it
    per_user: int = 64  # twenty sessions, each with a connection for its calls, and some that are about to end
    reserve: float = 0.05  # of all connections, kept free of those that stay: so there is always room for a call
    unfinished_bytes: int = 16_000_000  # of all requests that have not come whole, which take 40 MB; an address may hold a quarter
    request_s: float = 15.0  # from a request's first byte to its last: slow lines pass, slow attackers do not
    idle_s: float = 75.0  # between requests: longer than the usual 60 s of proxies, so that they close first
    stall_s: float = 30.0  # a client that does not read its answer
    linger_s: float = 2.0  # for a client to read a refusal while it is still sending
    tick_s: float = 1.0

    @property
    def most_per_address(self) -> int:
        """How many connections one address may hold."""
        return self.per_address or max(self.max_connections // 4, 1)

    @property
    def most_that_stay(self) -> int:
        """How many connections may be open before only calls are let in."""
        return self.max_connections - int(self.max_connections * self.reserve)
