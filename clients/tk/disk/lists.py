"""The contact list, my wishes for it, and my own status, on this machine's disk. Rule: settling a wish never removes a newer one.

The windows show these lists before there is a connection, and the home is asked for the wishes once there is one.
"""

import sqlite3
from collections.abc import Iterable

from clients.tk.disk.schema import instant, moment
from clients.tk.model.inputs import ContactWish
from clients.tk.model.values import OwnStatus
from flash_sdk import Contact, Status

_WISH = "uid, handle, name, alias, notify, listed, not_before"


class Lists:
    """Small tables of one user's file."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def people(self) -> tuple[tuple[int, str, str], ...]:
        """Uid, handle and name of everybody who was ever mentioned."""
        return tuple(self._database.execute("SELECT uid, handle, name FROM people"))

    def contacts(self) -> tuple[Contact, ...]:
        """The contact list as the home told it last. Nobody's presence is known."""
        rows = self._database.execute("SELECT uid, handle, name, alias, notify FROM contacts ORDER BY uid")
        return tuple(Contact(uid, handle, name, alias, bool(notify), Status("unknown")) for uid, handle, name, alias, notify in rows)

    def told(self, contacts: Iterable[Contact]) -> None:
        """Keep the whole list, as the home has told it."""
        with self._database:
            self._database.execute("BEGIN")
            self._database.execute("DELETE FROM contacts")
            self._put(contacts)

    def changed(self, added: Iterable[Contact], removed: Iterable[int]) -> None:
        """Keep changes of which the home has told."""
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany("DELETE FROM contacts WHERE uid = ?", [(uid,) for uid in removed])
            self._put(added)

    def _put(self, contacts: Iterable[Contact]) -> None:
        known = list(contacts)
        rows = [(c.uid, c.handle, c.name, c.alias, c.notify) for c in known]
        self._database.executemany("INSERT OR REPLACE INTO contacts VALUES (?, ?, ?, ?, ?)", rows)
        self._database.executemany("INSERT OR REPLACE INTO people VALUES (?, ?, ?)", [(c.uid, c.handle, c.name) for c in known])

    def wishes(self) -> tuple[ContactWish, ...]:
        """The wishes that the home has not confirmed, in the order in which they were last changed."""
        rows = self._database.execute(f"SELECT {_WISH} FROM wishes ORDER BY rowid")  # noqa: S608 - a constant
        return tuple(
            ContactWish(uid, handle, name, alias, bool(notify), bool(listed), moment(not_before))
            for uid, handle, name, alias, notify, listed, not_before in rows
        )

    def wish(self, wish: ContactWish) -> None:
        """Keep a wish, which replaces an earlier one for the same person."""
        row = (wish.uid, wish.handle, wish.name, wish.alias, wish.notify, wish.listed, instant(wish.not_before))
        self._database.execute("INSERT OR REPLACE INTO wishes VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def settled(self, wish: ContactWish) -> None:
        """Remove a wish that was granted or refused. A newer wish for the same person stays."""
        row = (wish.uid, wish.alias, wish.notify, wish.listed, instant(wish.not_before))
        self._database.execute(
            "DELETE FROM wishes WHERE uid = ? AND alias IS ? AND notify = ? AND listed = ? AND not_before IS ?", row
        )  # fmt: skip

    def status(self) -> OwnStatus:
        """My own status as I set it last."""
        row = self._database.execute("SELECT status, note, until, saved FROM own_status").fetchone()
        return OwnStatus() if row is None else OwnStatus(row[0], row[1], moment(row[2]), bool(row[3]))

    def put_status(self, status: OwnStatus) -> None:
        """Keep my own status."""
        row = (status.status, status.note, instant(status.until), status.saved)
        self._database.execute("INSERT OR REPLACE INTO own_status VALUES (1, ?, ?, ?, ?)", row)
