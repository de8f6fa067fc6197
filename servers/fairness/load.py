"""Who uses a server, in the last minute: users, addresses and other servers, by CPU, bytes and waiting. Rule: a fixed number of entries,
and clear addresses in memory only.

Requests and commits are sampled: each that is noted stands for `ONE_IN`. Long work, hashes and mail are noted each time, because each costs
more than noting it. A note costs some 4 µs, so a popup pays 0.3 µs; nothing runs while nothing is noted.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog
from msgspec import Struct

from runtime.bounds import Bound, Holding
from runtime.heavy_hitters import MOST as MOST_ENTRIES
from runtime.heavy_hitters import WINDOWS, Minute

ONE_IN = 32  # requests and commits
TOP = 10  # rows of each kind and measure
KINDS = ("user", "address", "home")
LOOK_S = 10.0  # how often shares are looked at, while anything is noted
MINUTE_S = 60.0

HEAVIEST = Bound(
    name="heaviest",
    holds="the heaviest users, addresses and servers of the last minute, by CPU, bytes and waiting",
    filled_by="everybody who asks",
    past="a new one takes the place of the smallest",
    within=("Load._by_kind",),
    entries=len(KINDS) * 3 * (WINDOWS + 1) * MOST_ENTRIES,
    each=250,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LoadConfig:
    """When somebody takes too much. `share`: of the CPU of all in a minute; `busy_s`: so much it must have been; `waited_s`: so much the
    others must have waited, together."""

    share: float = 0.5
    busy_s: float = 15.0
    waited_s: float = 1.0


class Heavy(Struct, frozen=True, array_like=True):
    """What one user (by number), address or server had at least in the last minute: seconds of CPU, bytes, seconds of waiting in all."""

    kind: str
    who: int | str
    cpu_s: float
    size: int
    waited_s: float


class Load:
    """One server's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, config: LoadConfig | None = None) -> None:
        self._clock = clock
        self._config = config or LoadConfig()
        self._all: Minute[str] = Minute(clock)
        self._by_kind = {kind: (Minute[int | str](clock), Minute[int | str](clock), Minute[int | str](clock)) for kind in KINDS}
        self._look_at = self._said_at = float("-inf")

    def note(
        self, *, uid: int = 0, address: str = "", home: str = "", cpu_s: float = 0.0, size: int = 0, waited_s: float = 0.0, times: int = 1
    ) -> None:
        """Somebody has used so much, so many times."""
        self._all.add("", cpu_s * times)
        for kind, who in (("user", uid), ("address", address), ("home", home)):
            if who:
                for minute, amount in zip(self._by_kind[kind], (cpu_s, size, waited_s), strict=True):
                    if amount:
                        minute.add(who, amount * times)
        if (now := self._clock()) >= self._look_at:
            self._look_at = now + LOOK_S
            self._look(now)

    def took(self, key: object, cpu_s: float, times: int = 1) -> None:
        """A turn of long work, or of the writer, has taken so long, so many times. `key`: whose lane it is."""
        uid, home = (key, "") if isinstance(key, int) else (0, key if isinstance(key, str) and key[:1] != "@" else "")
        self.note(uid=uid, home=home, cpu_s=cpu_s, times=times)

    def holdings(self) -> Iterator[Holding]:
        """Whom it knows."""
        yield HEAVIEST.holding(sum(minute.entries for minutes in self._by_kind.values() for minute in minutes))

    @property
    def cpu_s(self) -> float:
        """The CPU of all in the last minute, in seconds."""
        return self._all.total

    def heaviest(self, most: int = TOP) -> list[Heavy]:
        """Of each kind those who had most of something, with all that they had."""
        found = []
        for kind in KINDS:
            measures = [minute.heaviest() for minute in self._by_kind[kind]]
            top = dict.fromkeys(who for measure in measures for who in list(measure)[:most])
            found += [Heavy(kind, who, *_rounded(*(measure.get(who, 0.0) for measure in measures))) for who in top]
        return found

    def shares(self) -> dict[str, float]:
        """The part of the CPU of all that the heaviest of each kind took in the last minute. A server with little to do counts as busy for
        a quarter of it, so that who is alone there is not heavy."""
        whole = max(self.cpu_s, self._config.busy_s)
        return {kind: max(self._by_kind[kind][0].heaviest().values(), default=0.0) / whole for kind in KINDS}

    def _look(self, now: float) -> None:
        """Say that somebody takes too much while others wait, once a minute."""
        config = self._config
        if now < self._said_at + MINUTE_S or self.cpu_s < config.busy_s:
            return
        for kind, share in self.shares().items():
            cpu, _, waited = self._by_kind[kind]
            heaviest = next(iter(cpu.heaviest()), None)
            if share > config.share and waited.total - waited.heaviest().get(heaviest or "", 0.0) >= config.waited_s:
                self._said_at = now
                who = heaviest if kind != "address" else None  # a log holds no address: `flash top` shows it
                log.warning("heavy.share", kind=kind, who=who, share=round(share, 2))


def _rounded(cpu_s: float, size: float, waited_s: float) -> tuple[float, int, float]:
    return round(cpu_s, 6), round(size), round(waited_s, 6)
