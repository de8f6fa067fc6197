"""From where each handle has signed in lately. Rule: neither a handle nor an address is kept, only what a secret key makes of them.

Who signs in from a familiar place is asked for the password with others of that kind, whatever strangers do meanwhile.
"""

import hmac
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from runtime.bounds import Bound, Holding

DAY_S = 86_400
KEPT_DAYS = 30  # as long as a token lives: who signs in again when it ends is familiar still
MAX_PLACES = 8  # of one handle: home, office, telephone, some journeys
MAX_HANDLES = 100_000  # about 20 MB; past that the handle that signed in longest ago is forgotten and waits with the strangers once
PLACE = struct.Struct("<8sH")  # the digest of a place, and the day of the last sign-in there, in days since 1970
HANDLES = Bound(
    name="familiar_handles",
    holds="digests of handles and of where they signed in",
    filled_by="users who sign in",
    past="the handle that signed in longest ago is a stranger once",
    within=("Familiar._places",),
    entries=MAX_HANDLES,
    each=200,  # eight places
    cache=True,
)


class Familiar:
    """Pairs of handle and address, for 30 days after each sign-in."""

    def __init__(self, clock: Callable[[], float], max_handles: int = MAX_HANDLES) -> None:
        """`clock`: seconds since 1970. Before `use` nothing is familiar and nothing is kept."""
        self._clock = clock
        self._max_handles = max_handles
        self._key = b""
        self.forgotten = 0  # handles that made room for others
        self._places: dict[bytes, bytes] = {}  # by digest of the handle; who signed in longest ago comes first

    def __len__(self) -> int:
        return len(self._places)

    def use(self, key: bytes, kept: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Begin, with the server's own key and what `everything` gave before."""
        self._key = key
        self._places = {handle: places for handle, places in kept if len(places) % PLACE.size == 0}

    def knows(self, handle: str, address: str) -> bool:
        """Whether this handle has signed in from this address in the last 30 days."""
        place, today = self._digest("place", f"{handle} {address}"), self._today()
        return any(each == place and today - day <= KEPT_DAYS for each, day in PLACE.iter_unpack(self._of(handle)))

    def note(self, handle: str, address: str) -> bool:
        """This handle has just signed in from this address. False when this was known for today."""
        if not self._key:
            return False
        who, place, today = self._digest("handle", handle), self._digest("place", f"{handle} {address}"), self._today()
        known = list(PLACE.iter_unpack(self._places.get(who, b"")))
        if (place, today) in known:
            return False
        others = [(each, day) for each, day in known if each != place and today - day <= KEPT_DAYS]
        self._places.pop(who, None)
        self._places[who] = b"".join(PLACE.pack(*each) for each in [*others[1 - MAX_PLACES :], (place, today)])
        if len(self._places) > self._max_handles:
            self.forgotten += 1
            del self._places[next(iter(self._places))]
        return True

    def forget(self, handle: str) -> None:
        """This handle's account is closed."""
        if self._key:
            self._places.pop(self._digest("handle", handle), None)

    def holdings(self) -> Iterator[Holding]:
        """The handles."""
        yield replace(HANDLES, entries=self._max_handles).holding(len(self._places), refused=self.forgotten)

    def everything(self) -> dict[bytes, bytes]:
        """A copy of what is known, for a file."""
        return dict(self._places)

    def _of(self, handle: str) -> bytes:
        return self._places.get(self._digest("handle", handle), b"") if self._key else b""

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.digest(self._key, f"flash familiar {kind}:{text}".encode(errors="surrogatepass"), "sha256")[:8]

    def _today(self) -> int:
        return int(self._clock() // DAY_S)
