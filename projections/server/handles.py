"""Which handle belongs to which uid at this home. Rule: a uid keeps the handle that it had first, whatever anybody says later.

A Global Server whose database was set back could give a uid to somebody else; that person must not find another one's contacts and mail.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.home import UserAdopted
from projections.server.log_fold import LogFold


class Handles(LogFold):
    """uid -> handle of everybody whom this home has adopted; about 150 bytes each."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}

    def differs(self, uid: int, handle: str) -> bool:
        """Whether this uid is known here under another handle."""
        known = self.names.get(uid)
        return known is not None and known.lower() != handle.lower()

    def _adopted(self, event: UserAdopted) -> None:
        self.names.setdefault(event.stream_uid, event.handle)

    FOLDS: ClassVar = {UserAdopted: _adopted}

    def to_checkpoint(self) -> dict[str, Any]:
        """The whole index as plain data."""
        return self.checkpoint(names=self.names)

    def take(self, data: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint."""
        self.names = dict(data["names"])
