"""History, inbox and outbox of one user on this machine. Rule: what a call has written outlives a client that is killed after it.

Every call may be repeated, because a message is kept once and a state only moves forward. Only the engine's thread may call.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from clients.tk.disk.lists import Lists
from clients.tk.disk.schema import COLUMNS, connect, entry_of, file_of
from clients.tk.model.inputs import SignedIn
from clients.tk.model.values import Account, Entry, MessageKey, Received, Sent, SentState
from flash_sdk import Message
from flash_sdk.seen import key_of

NEWEST = 50  # entries of each conversation that are loaded at the start: two windows full
PAGE = 100  # entries that one request for older ones adds
FOUND = 200  # entries that a search gives: a person with more hits adds a word


class Storage:
    """One user's file. It is the SDK's `SeenStore` as well, because every message that is kept here was seen."""

    def __init__(self, data: Path, account: Account) -> None:
        """Open the file, or make it. Raises `AlreadyOpen`, `Unusable` (of `disk.schema`)."""
        self._account = account
        self._database = connect(file_of(data, account.server, account.uid))
        self.lists = Lists(self._database)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def load(self) -> SignedIn:
        """Everything the windows need before there is a connection."""
        unshown = self._database.execute("SELECT uid, id FROM entries WHERE open AND NOT shown")
        newest = self._newest()
        given = Counter(entry.uid if isinstance(entry, Received) else entry.to for entry in newest)
        kept = self._database.execute("SELECT uid, count(*) FROM entries GROUP BY uid")
        return SignedIn(
            self._account,
            self.lists.contacts(),
            newest,
            frozenset((uid, id) for uid, id in unshown),
            self.lists.wishes(),
            self.lists.status(),
            self.lists.people(),
            frozenset(uid for uid, size in kept if size > given[uid]),
        )

    # --- received ---

    def __contains__(self, key: object) -> bool:
        """`SeenStore`: whether the message of this key is kept."""
        return self._database.execute("SELECT 1 FROM entries WHERE seen = ?", (key,)).fetchone() is not None

    def add(self, key: str) -> None:
        """`SeenStore`: nothing to do, because `received` keeps a message before the SDK hears that it is processed."""

    def received(self, message: Message) -> bool:
        """Keep a message that came. Gives False when it is kept already."""
        sender = message.sender
        row = (
            sender.uid, message.id, message.text, message.sent_at.timestamp(), message.in_reply_to, message.urgent,
            sender.handle, sender.name, key_of(sender.uid, message.id),
        )  # fmt: skip
        with self._database:
            self._database.execute("BEGIN")
            cursor = self._database.execute(
                "INSERT OR IGNORE INTO entries (uid, mine, id, text, at, in_reply_to, urgent, handle, name, seen, open, read, shown)"
                " VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0)",
                row,
            )
            self._database.execute("INSERT OR REPLACE INTO people VALUES (?, ?, ?)", (sender.uid, sender.handle, sender.name))
        return cursor.rowcount == 1

    def done(self, key: MessageKey, *, tell: bool) -> None:
        """Close a message. With `tell`, the home must be told of it."""
        self._database.execute(
            "UPDATE entries SET open = 0, read = 1, shown = 1, untold = untold OR (open AND ?) WHERE NOT mine AND uid = ? AND id = ?",
            (tell, *key),
        )

    def untold(self) -> list[MessageKey]:
        """Closed messages of which the home does not know."""
        return [(uid, id) for uid, id in self._database.execute("SELECT uid, id FROM entries WHERE untold ORDER BY n")]

    def told(self, key: MessageKey) -> None:
        """The home knows that this message is closed, or has forgotten the message."""
        self._database.execute("UPDATE entries SET untold = 0 WHERE NOT mine AND uid = ? AND id = ?", key)

    def shown(self, keys: Iterable[MessageKey]) -> None:
        """These messages have had their popup."""
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany("UPDATE entries SET shown = 1 WHERE NOT mine AND uid = ? AND id = ?", list(keys))

    def read(self, uid: int) -> None:
        """The person has looked at the conversation."""
        self._database.execute("UPDATE entries SET read = 1, shown = 1 WHERE NOT mine AND uid = ? AND NOT read", (uid,))

    # --- sent ---

    def wrote(self, message: Sent) -> None:
        """Put a message into the outbox. A known id changes nothing."""
        row = (message.to, message.id, message.text, message.at.timestamp(), message.in_reply_to, message.urgent, SentState.WAITING)
        self._database.execute(
            "INSERT OR IGNORE INTO entries (uid, mine, id, text, at, in_reply_to, urgent, state) VALUES (?, 1, ?, ?, ?, ?, ?, ?)", row
        )

    def outbox(self) -> list[Sent]:
        """The messages that the home does not have yet, oldest first."""
        return [entry for entry in self._entries("mine AND state <= ? ORDER BY n", SentState.WAITING) if isinstance(entry, Sent)]

    def reached(self, id: str, state: SentState, why: str | None = None) -> None:
        """A message of mine has reached this state, or a later one."""
        self._database.execute("UPDATE entries SET state = ?, why = ? WHERE mine AND id = ? AND state < ?", (state, why, id, state))

    # --- looking back ---

    def older(self, uid: int, before: Entry | None) -> tuple[Entry, ...]:
        """The page of a conversation that ends right before this entry, oldest first."""
        bound = 2**62
        if before is not None:
            key = (0, before.uid, before.id) if isinstance(before, Received) else (1, before.to, before.id)
            found = self._database.execute("SELECT n FROM entries WHERE mine = ? AND uid = ? AND id = ?", key).fetchone()
            bound = found[0] if found else bound
        return tuple(reversed(self._entries("uid = ? AND n < ? ORDER BY n DESC LIMIT ?", uid, bound, PAGE)))

    def search(self, query: str, uid: int | None) -> tuple[Entry, ...]:
        """Entries that have all these words (by prefix, ignoring case and accents), newest first."""
        words = " ".join('"' + word.replace('"', '""') + '"*' for word in query.split())
        if not words:
            return ()
        where = "n IN (SELECT rowid FROM words WHERE words MATCH ?) AND (? IS NULL OR uid = ?) ORDER BY n DESC LIMIT ?"
        return tuple(self._entries(where, words, uid, uid, FOUND))

    def _newest(self) -> tuple[Entry, ...]:
        """The newest entries of each conversation, without a gap back to the first that is open or under way."""
        first = (
            "SELECT uid, min(n) AS first FROM (SELECT uid, n, open OR (mine AND state <= ?) AS wanted,"
            " row_number() OVER (PARTITION BY uid ORDER BY n DESC) AS place FROM entries) WHERE wanted OR place <= ? GROUP BY uid"
        )
        where = f"n >= (SELECT first FROM ({first}) AS starts WHERE starts.uid = entries.uid) ORDER BY n"  # noqa: S608 - constants
        return tuple(self._entries(where, SentState.ACCEPTED, NEWEST))

    def _entries(self, where: str, *values: object) -> list[Entry]:
        return [entry_of(row) for row in self._database.execute(f"SELECT {COLUMNS} FROM entries WHERE {where}", values)]  # noqa: S608
