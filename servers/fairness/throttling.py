"""Who has turns at a tenth at one server, and what waits for its turn. Rule: it ends by the clock, whatever the log says later."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from projections.server.throttles import Throttles
from runtime.bounds import Bound, Holding
from runtime.brake import Brake, CallLater

THROTTLED_CALLS = Bound(
    name="throttled_calls",
    holds="requests of users and addresses that have turns at a tenth",
    filled_by="those users and addresses",
    past="one is read on each connection at a time, and connections are bounded themselves",
    within=("Throttling.calls",),
    entries=100_000,
    each=66_000,
)
THROTTLED_MAIL = Bound(
    name="throttled_mail",
    holds="mail of servers that have turns at a tenth",
    filled_by="those servers",
    past="the newest is acked unread and asked for again",
    within=("Throttling.mail",),
    entries=32,
    each=1_000_000,
    per="server",
)


@dataclass(slots=True, eq=False)
class NotOver:
    """The keys of `until` whose time is not over."""

    until: Mapping[int | str, float]
    clock: Callable[[], float]

    def __contains__(self, key: object) -> bool:
        return key in self.until and self.until[key] > self.clock()  # type: ignore[index]


class Throttling:
    """One server's. `callers`: users by number and addresses; `homes`: other servers by name. Both are empty while nobody is throttled, so
    that nobody needs to be looked for then."""

    def __init__(self, throttles: Throttles, clock: Callable[[], float], call_later: CallLater | None = None) -> None:
        self.throttles = throttles
        self.callers, self.homes = throttles.callers, throttles.homes
        self._clock = clock
        self.calls: Brake[int | str] = Brake(NotOver(self.callers, clock), call_later=call_later)
        self.mail: Brake[int | str] = Brake(NotOver(self.homes, clock), call_later=call_later)

    def forget(self) -> None:
        """Forget what is over."""
        self.throttles.forget(self._clock())

    def caller(self, uid: int, address: str) -> int | str | None:
        """Under which key a call of this user from this address waits for its turn; None when it need not."""
        self.forget()
        return uid if uid in self.callers else address if address in self.callers else None

    def is_slow(self, home: str) -> bool:
        """Whether mail of this server waits for its turn."""
        self.forget()
        return home in self.homes or self.mail.waiting(home) > 0  # what waited before comes first

    def holdings(self) -> Iterator[Holding]:
        """What waits for its turn."""
        yield THROTTLED_CALLS.holding(self.calls.size)
        yield THROTTLED_MAIL.holding(self.mail.size)

    @property
    def holds_mail(self) -> bool:
        """Whether mail of any server waits, or would have to."""
        return bool(self.homes or self.mail.size)

    @property
    def waiting(self) -> int:
        """How much waits for its turn."""
        return self.calls.size + self.mail.size
