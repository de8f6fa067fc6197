"""Rate limits by token buckets. Rule: memory is bounded, whatever keys arrive; the time comes from outside.

A token bucket in its one-number form (GCRA): per key we keep the moment at which its bucket is full again. A token is a unit of work, and
a call that makes more of it takes more.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace

from domain.errors import TooManyRequests
from runtime.bounds import Bound, Holding

MAX_KEYS = 50_000  # about 20 MB; past that the key that was unused longest is forgotten, because its bucket is most likely full again
KEYS = Bound(
    name="rate_limits",
    holds="buckets that are not full",
    filled_by="users and addresses",
    past="the key that was unused longest is forgotten",
    within=("RateLimit._full_at",),
    entries=MAX_KEYS,
    each=420,  # a handle and an address
    per="limit",
    cache=True,
)


class RateLimit:
    """Token buckets by key: `burst` at once, then `per_s` a second."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float], detail: str | None = None, max_keys: int = MAX_KEYS) -> None:
        """`clock`: seconds, never backwards. `detail`: the sentence that a refused caller reads."""
        if burst < 1 or per_s <= 0:
            raise ValueError("a rate limit needs a burst of at least 1, and more than 0 per second")
        self._interval_s = 1 / per_s  # one token comes back in this time
        self._whole_s = burst / per_s
        self._clock = clock
        self._detail = detail
        self._max_keys = max_keys
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()
        self.forgotten = 0  # keys whose bucket was not full

    def take(self, key: Hashable, tokens: int = 1) -> None:
        """Take tokens; of a call that costs more than the whole bucket, the whole bucket. Raises `TooManyRequests` (with `retry_after_s`,
        whole seconds) when there are too few; that costs nothing."""
        now = self._clock()
        known = self._full_at.get(key)
        taken_s = self._interval_s if tokens == 1 else min(tokens * self._interval_s, self._whole_s)
        full_at = taken_s + (now if known is None or known < now else known)
        wait_s = full_at - now - self._whole_s
        if wait_s > 1e-9:  # rounding must not cost a token
            raise TooManyRequests(self._detail, retry_after_s=math.ceil(wait_s))
        self._full_at[key] = full_at
        if known is None:
            self._forget_two(now)
        else:
            self._full_at.move_to_end(key)

    def _forget_two(self, now: float) -> None:
        """Forget the two keys that were unused longest, if their buckets are full again: a full bucket needs no memory."""
        for _ in range(2):  # for each new key, so that their number cannot grow for ever
            oldest, oldest_full_at = next(iter(self._full_at.items()))
            if oldest_full_at > now and len(self._full_at) <= self._max_keys:
                break
            self.forgotten += oldest_full_at > now
            del self._full_at[oldest]
            if not self._full_at:
                break

    def give_back(self, key: Hashable) -> None:
        """Return a token that was taken in advance."""
        full_at = self._full_at.get(key)
        if full_at is not None:
            full_at -= self._interval_s
            if full_at <= self._clock():
                del self._full_at[key]
            else:
                self._full_at[key] = full_at

    def taken(self, key: Hashable) -> int:
        """How many tokens are missing from the bucket of `key` now."""
        return round(max(self._full_at.get(key, 0.0) - self._clock(), 0.0) / self._interval_s)

    def holdings(self) -> Iterator[Holding]:
        """The buckets that are not full."""
        yield replace(KEYS, entries=self._max_keys).holding(len(self._full_at), refused=self.forgotten)

    def __len__(self) -> int:
        return len(self._full_at)
