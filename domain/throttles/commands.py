"""What can be asked about turns. Rule: plain values; whoever is named has been found and made canonical before."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct


class ThrottleCommand(Struct, frozen=True, kw_only=True):
    """A wish about one user, address or home at `server`. The other fields are those of `ThrottleEvent`."""

    server: str
    cause: str
    kind: str
    uid: int = 0
    home: str = ""
    address: str = ""
    by: int
    handle: str
    homes: Sequence[str] = ()

    @property
    def stream(self) -> str:
        """The stream whose state decides."""
        return f"throttles-{self.server}"

    @property
    def target(self) -> tuple[str, Any]:
        """Whom it is about: the kind, and the uid, address or name."""
        return self.kind, self.uid or self.home or self.address

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kind={self.kind})"  # an address belongs in no log


class Throttle(ThrottleCommand, frozen=True, kw_only=True):
    """Give it turns at a tenth, until a moment. `again`: tell `homes` of what holds already, because they came later."""

    until: float
    again: bool = False


class EndThrottle(ThrottleCommand, frozen=True, kw_only=True):
    """Give it all turns again."""
