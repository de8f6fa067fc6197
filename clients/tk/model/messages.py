"""Every conversation of this machine's user. Rule: a message is in it once, and its state only moves forward.

Entries stand in the order in which this client learned of them, so that a window only appends. A home gives one sender's messages in the
order in which it accepted them.
"""

from collections.abc import Iterable
from dataclasses import replace

from clients.tk.model.effects import Effect, EntryAdded, EntryChanged
from clients.tk.model.values import Entry, MessageKey, Received, Sent, SentState

EARLY = 1000  # Dones that came before their message; a home remembers as many delivered messages

Name = str | MessageKey  # of an entry: a sent message's id, a received one's key


class Conversations:
    """Received and sent, per person."""

    def __init__(self) -> None:
        self.unread: dict[int, int] = {}  # uid -> how many; only people with some
        self._with: dict[int, dict[Name, Entry]] = {}
        self._sent_to: dict[str, int] = {}
        self._keys: dict[str, list[MessageKey]] = {}  # a received id -> the keys of the messages that have it
        self._open: dict[MessageKey, None] = {}
        self._waiting: dict[str, None] = {}
        self._done_early: dict[str, None] = {}

    # --- what is shown ---

    def of(self, uid: int) -> tuple[Entry, ...]:
        """A whole conversation."""
        return tuple(self._with.get(uid, {}).values())

    def received(self, key: MessageKey) -> Received | None:
        """One message that came."""
        entry = self._with.get(key[0], {}).get(key)
        return entry if isinstance(entry, Received) else None

    def sent(self, id: str) -> Sent | None:
        """One message of mine."""
        entry = self._with.get(self._sent_to.get(id, -1), {}).get(id)
        return entry if isinstance(entry, Sent) else None

    def answered(self, message: Entry) -> Entry | None:
        """The message to which `message` replies: mine when it came, theirs when I wrote it."""
        if message.in_reply_to is None:
            return None
        if isinstance(message, Sent):
            return self.received((message.to, message.in_reply_to))
        mine = self.sent(message.in_reply_to)
        return mine if mine is not None and mine.to == message.uid else None

    def inbox(self) -> tuple[Received, ...]:
        """Open messages, oldest first."""
        return tuple(entry for key in self._open if (entry := self.received(key)) is not None)

    def outbox(self) -> tuple[Sent, ...]:
        """My messages that the home does not have yet, oldest first."""
        return tuple(entry for id in self._waiting if (entry := self.sent(id)) is not None)

    # --- what came ---

    def arrived(self, message: Received) -> list[Effect]:
        """A message came. A known message changes nothing. A message that was done before it came is closed from the start."""
        if self.received(message.key) is not None:
            return []
        if message.id in self._done_early:
            message = replace(message, open=False, read=True)
        self._keep(message.uid, message.key, message)
        return [EntryAdded(message.uid, message)]

    def done(self, id: str) -> tuple[list[Effect], list[MessageKey]]:
        """A message was closed on another session. Gives the keys of those that were open here as well."""
        keys = self._keys.get(id)
        if not keys:
            self._done_early[id] = None
            if len(self._done_early) > EARLY:
                del self._done_early[next(iter(self._done_early))]
            return [], []
        closed = [key for key in keys if key in self._open]
        return [effect for key in closed for effect in self.close(key)], closed

    def close(self, key: MessageKey) -> list[Effect]:
        """Close a message, which marks it as read as well."""
        return self._change(key, closed=True)

    def read(self, uid: int) -> list[Effect]:
        """Mark a whole conversation as read."""
        unread = [entry.key for entry in self._with.get(uid, {}).values() if isinstance(entry, Received) and not entry.read]
        return [effect for key in unread for effect in self._change(key)]

    def _change(self, key: MessageKey, *, closed: bool = False) -> list[Effect]:
        entry = self.received(key)
        if entry is None:
            return []
        changed = replace(entry, read=True, open=entry.open and not closed)
        if changed == entry:
            return []
        self._keep(key[0], key, changed)
        return [EntryChanged(key[0], changed)]

    # --- what I wrote ---

    def wrote(self, message: Sent) -> list[Effect]:
        """I wrote a message. A known id changes nothing."""
        if message.id in self._sent_to:
            return []
        self._keep(message.to, message.id, message)
        return [EntryAdded(message.to, message)]

    def reached(self, id: str, state: SentState, why: str | None = None) -> list[Effect]:
        """A message of mine has reached this state. Changes nothing when it is further already, or was not written here."""
        entry = self.sent(id)
        if entry is None or state <= entry.state:
            return []
        changed = replace(entry, state=state, why=why if state is SentState.BOUNCED else None)
        self._keep(entry.to, id, changed)
        return [EntryChanged(entry.to, changed)]

    # --- from disk ---

    def remember(self, entries: Iterable[Entry]) -> None:
        """Take the entries from the disk at a start, oldest first."""
        for entry in entries:
            name, uid = _name(entry)
            if name not in self._with.get(uid, {}):
                self._keep(uid, name, entry)

    def prepend(self, uid: int, entries: Iterable[Entry]) -> None:
        """Put earlier entries of one conversation before the others, oldest first."""
        present = self._with.pop(uid, {})
        self.remember(entry for entry in entries if _name(entry)[1] == uid and _name(entry)[0] not in present)
        self._with.setdefault(uid, {}).update(present)

    def oldest(self, uid: int) -> Entry | None:
        """The first entry of a conversation."""
        return next(iter(self._with.get(uid, {}).values()), None)

    def _keep(self, uid: int, name: Name, entry: Entry) -> None:
        """The one place where entries and the indices over them change."""
        before = self._with.setdefault(uid, {}).get(name)
        self._with[uid][name] = entry
        if isinstance(entry, Sent):
            self._sent_to[entry.id] = uid
            _mark(self._waiting, entry.id, entry.state <= SentState.WAITING)
            return
        if before is None:
            self._keys.setdefault(entry.id, []).append(entry.key)
        _mark(self._open, entry.key, entry.open)
        was_unread = isinstance(before, Received) and not before.read
        count = self.unread.get(uid, 0) + (not entry.read) - was_unread
        if count:
            self.unread[uid] = count
        else:
            self.unread.pop(uid, None)


def _mark(index: dict[Name, None] | dict[str, None] | dict[MessageKey, None], name: Name, present: bool) -> None:
    if present:
        index.setdefault(name, None)  # type: ignore[arg-type]
    else:
        index.pop(name, None)  # type: ignore[arg-type]


def _name(entry: Entry) -> tuple[Name, int]:
    return (entry.key, entry.uid) if isinstance(entry, Received) else (entry.id, entry.to)
