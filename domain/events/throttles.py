"""Events about who has turns at a tenth. Rule: an address is personal, and encrypted with the key of whoever gave it.

Both lie in `throttles-<server>`: the Global Server stores what its ops did, and every home what it was told of that.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from domain.event import Event
from domain.values import Handle, HomeName, Moment, Number, Uid

Kind = Annotated[str, Meta(pattern="^(user|address|home)$")]


class ThrottleEvent(Event, frozen=True, kw_only=True):
    """Something about one user, address or home: `kind` says which of the three fields names it, and the others are empty. `by`, `handle`:
    whose deed it was, a user with the role `ops`; `homes`: all homes of the installation, which must hear of it; empty in a home's own."""

    PERSONAL: ClassVar[Mapping[str, str]] = {"address": "by"}
    kind: Kind
    uid: Number = 0
    home: HomeName = ""
    address: Annotated[str, Meta(max_length=64)] = ""  # of IPv4, or the /64 of IPv6
    by: Uid
    handle: Handle
    homes: list[str]

    @property
    def target(self) -> tuple[str, Any]:
        """Whom it is about: the kind, and the uid, address or name. The address is empty once the key is destroyed."""
        return self.kind, self.uid or self.home or self.address


class ThrottleBegan(ThrottleEvent, frozen=True, kw_only=True):
    """Somebody has turns at a tenth from now on, until the moment `until`, or until the next event about the same one."""

    TOPIC = "throttles.began"
    until: Moment


class ThrottleEnded(ThrottleEvent, frozen=True, kw_only=True):
    """Somebody has all turns again, before the time was over."""

    TOPIC = "throttles.ended"
