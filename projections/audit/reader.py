"""Everything that can be asked of the audit store. Rule: a reader blocks, changes nothing, and belongs to one thread."""

import sqlite3
from pathlib import Path

from domain.errors import Unavailable
from projections.audit.checkpoints import Decode
from projections.audit.lives import lives
from projections.audit.log import Log
from projections.audit.moments import Moments
from projections.audit.rows import Life
from projections.audit.tables import open_for_reading


class Reader:
    """`log` and `moments` answer the questions. `path`: a store that a `Feeder` has made; `personal`: `decode` decrypts personal fields."""

    def __init__(self, path: Path, decode: Decode, *, key: bytes, personal: bool = False) -> None:
        """`key`: with which checkpoints are proven. Raises `Unavailable` when the store cannot be opened."""
        try:
            self._database = open_for_reading(path)
        except sqlite3.Error as error:
            raise Unavailable(f"the audit store {path} cannot be opened: {error}") from error
        self.log = Log(self._database)
        self.moments = Moments(self._database, decode, key, personal)

    def trace(self, message: str) -> list[Life]:
        """The popups with this id: one for each sender who has used it."""
        return lives(message, self.log.about(message))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
