"""How long to wait before trying again. Rule: exponential with jitter, so that a thousand clients do not return at the same instant."""

import random
from dataclasses import dataclass, field

LONGEST_ASKED_S = 3600.0  # no server makes a client stay away for longer, by mistake or on purpose


@dataclass(frozen=True, slots=True)
class Pace:
    """How to retry: the first wait, the longest one (seconds), and the factor between them."""

    first_s: float = 0.5  # a restarted server is often back within a second
    longest_s: float = 30.0  # a user who comes home waits at most this long for a home that has come back
    factor: float = 1.5  # after an outage of T seconds a client is back at most T/2 later (with a factor of 2: T later)


@dataclass(slots=True)
class Backoff:
    """The waits of one row of failures."""

    pace: Pace = field(default_factory=Pace)
    failures: int = 0

    def next_s(self, at_least_s: float = 0.0) -> float:
        """Seconds to wait after one more failure: half to all of the exponential step, and not less than what the server asked for
        (plus up to a fifth of that, so that clients do not return together)."""
        step = min(self.pace.longest_s, self.pace.first_s * self.pace.factor ** min(self.failures, 30))
        self.failures += 1
        spread = random.random()  # noqa: S311 - nobody gains by guessing when we come back
        return max(step * (0.5 + spread / 2), min(at_least_s, LONGEST_ASKED_S) * (1 + spread / 5))

    def reset(self) -> None:
        """Start from the first wait again, because a try has worked."""
        self.failures = 0
