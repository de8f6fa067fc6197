"""Which integrator may read whose presence. Rule: every grant is made by handle, in the settings.

`crm=all; helpdesk=organisation:Acme Ltd; door=uids:1,2,3`
"""

from collections.abc import Mapping
from dataclasses import dataclass

from projections.directory.directory import Listed

EXPECTED = "handle=all, handle=organisation:NAME or handle=uids:1,2,3, separated by semicolons"


@dataclass(frozen=True, slots=True)
class PresenceGrant:
    """The users that one integrator sees: all, those of an organisation (a profile field, compared without case), or the listed ones."""

    everybody: bool = False
    organisation: str = ""
    uids: frozenset[int] = frozenset()

    def covers(self, uid: int, user: Listed | None) -> bool:
        """Whether the grant covers a user, as the directory lists the user now."""
        if self.everybody or uid in self.uids:
            return True
        return bool(self.organisation) and user is not None and _same(user.profile.get("organisation", "")) == self.organisation


def read_grants(text: str) -> Mapping[str, PresenceGrant]:
    """The grants by handle. Raises `ValueError` for anything but `EXPECTED`, a handle that comes twice included."""
    grants: dict[str, PresenceGrant] = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        handle, equals, granted = (part.strip() for part in entry.partition("="))
        handle = handle.lower()
        if not handle or not equals or handle in grants:
            raise ValueError(entry)
        grants[handle] = _grant(granted)
    return grants


def _grant(text: str) -> PresenceGrant:
    kind, _, value = (part.strip() for part in text.partition(":"))
    if kind == "all" and not value:
        return PresenceGrant(everybody=True)
    if kind == "organisation" and value:
        return PresenceGrant(organisation=_same(value))
    if kind == "uids" and value:
        uids = frozenset(int(uid) for uid in value.split(","))
        if min(uids) >= 1:
            return PresenceGrant(uids=uids)
    raise ValueError(text)


def _same(organisation: str) -> str:
    return " ".join(organisation.casefold().split())
