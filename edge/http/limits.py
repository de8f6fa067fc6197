"""What one client may cost a server. Rule: each bound says in its comment why it has this value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of connections. The server looks at its connections every `tick_s`, so it rounds all times up to ticks."""

    max_connections: int = 100_000
    request_s: float = 15.0  # from a request's first byte to its last: slow lines pass, slow attackers do not
    idle_s: float = 75.0  # between requests: longer than the usual 60 s of proxies, so that they close first
    stall_s: float = 30.0  # a client that does not read its answer
    linger_s: float = 2.0  # for a client to read a refusal while it is still sending
    tick_s: float = 1.0
