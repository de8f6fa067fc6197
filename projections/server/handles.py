"""Which handle belongs to which uid at this home. Rule: a uid keeps the handle that it had first, and a handle its uid, whatever
anybody says later.

A Global Server whose database was set back could give a uid, or a handle, to somebody else; that person must not find another one's
contacts and mail, nor be taken for them.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.home import UserAdopted
from projections.server.log_fold import LogFold


class Handles(LogFold):
    """uid -> handle of everybody whom this home has adopted; about 250 bytes each."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}
        self._uids: dict[str, int] = {}  # by handle, in small letters

    def differs(self, uid: int, handle: str) -> bool:
        """Whether this uid is known here under another handle, or the handle under another uid."""
        known = self.names.get(uid, handle)
        return known.lower() != handle.lower() or self._uids.get(handle.lower(), uid) != uid

    def _adopted(self, event: UserAdopted) -> None:
        handle = self.names.setdefault(event.stream_uid, event.handle)
        self._uids.setdefault(handle.lower(), event.stream_uid)

    FOLDS: ClassVar = {UserAdopted: _adopted}

    def to_checkpoint(self) -> dict[str, Any]:
        """The whole index as plain data."""
        return self.checkpoint(names=self.names)

    def take(self, data: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint."""
        self.names = dict(data["names"])
        self._uids = {}
        for uid, handle in self.names.items():
            self._uids.setdefault(handle.lower(), uid)
