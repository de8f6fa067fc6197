"""The contact window's rows. Rule: a row shows what the home told last, with my unconfirmed wishes laid over it.

Without a connection nobody's presence is known, so `unknown` is shown, and not the presence that was heard last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from clients.tk.model.effects import ContactChanged, ContactsChanged, Effect, RemovalsChanged, Wish
from clients.tk.model.inputs import ContactWish
from clients.tk.model.values import ORDER, STRANGERS, ContactRow, Group, Removal
from flash_sdk import Contact, PresenceChange, Status

UNDO_S = 8.0  # long enough to read a line and reach for the mouse, and short enough that "removed" is soon true
RETURN_S = 30.0  # a contact who was lost and is back within this time only reconnected (the SDK's longest wait)
REACHABLE = frozenset({"online", "away", "dnd"})
NOBODY_KNOWS = Status("unknown")


class ContactBook:
    """Everyone on the list and everyone who wrote."""

    def __init__(self, undo_s: float = UNDO_S) -> None:
        """`undo_s`: how long a removal can be undone."""
        self.undo_s = undo_s
        self.live = False  # whether a back connection stands
        self.filter = ""
        self.wishes: dict[int, ContactWish] = {}
        self.removals: dict[int, Removal] = {}
        self._told: dict[int, Contact] = {}
        self._presence: dict[int, Status] = {}  # as told on this connection, also for people who are not on the list
        self._known: dict[int, str] = {}  # the last status other than unknown, over all connections
        self._lost: dict[int, datetime] = {}  # people who went without a logoff, and when that was heard
        self._people: dict[int, tuple[str, str]] = {}  # handle and name of everybody who was ever mentioned
        self._cache: tuple[Group, ...] | None = None

    # --- what is shown ---

    def listed(self, uid: int) -> bool:
        """Whether `uid` is on the list as I want it."""
        wish = self.wishes.get(uid)
        return wish.listed if wish is not None else uid in self._told

    def row(self, uid: int, unread: int = 0) -> ContactRow:
        """The row of one person."""
        told, wish = self._told.get(uid), self.wishes.get(uid)
        handle, name = self._people.get(uid, (f"user {uid}", ""))
        status = self._presence.get(uid, NOBODY_KNOWS) if self.live else NOBODY_KNOWS
        entry = wish or told
        return ContactRow(
            uid=uid,
            handle=handle,
            name=name,
            alias=entry.alias if entry else None,
            notify=entry.notify if entry else False,
            status=status.status if status.status in ORDER else "unknown",
            since=status.since,
            note=status.note,
            unread=unread,
            listed=self.listed(uid),
            saving=wish is not None,
        )

    def groups(self, unread: Mapping[int, int]) -> tuple[Group, ...]:
        """Rows by status, then strangers with unread messages. Only rows that match the filter."""
        if self._cache is not None:
            return self._cache
        wanted = self.filter.casefold().split()
        by_status: dict[str, list[ContactRow]] = {}
        for uid in {**self._told, **self.wishes, **unread}:
            row = self.row(uid, unread.get(uid, 0))
            if (row.listed or row.unread) and _matches(row, wanted):
                status = row.status if row.status in ORDER else ORDER[-1]  # a home may say anything
                by_status.setdefault(status if row.listed else STRANGERS, []).append(row)
        self._cache = tuple(
            Group(status, tuple(sorted(by_status[status], key=lambda row: (row.title.casefold(), row.uid))))
            for status in (*ORDER, STRANGERS)
            if status in by_status
        )
        return self._cache

    def touch(self, uid: int, *, moved: bool = False) -> list[Effect]:
        """Ask for a row to be drawn again. `moved`: it may stand elsewhere now."""
        self._cache = None
        return [ContactsChanged()] if moved or self.filter else [ContactChanged(uid)]

    def _anew(self) -> list[Effect]:
        self._cache = None
        return [ContactsChanged()]

    # --- what the home tells ---

    def meet(self, uid: int, handle: str, name: str) -> None:
        """Learn the handle and name of a person. An empty name changes nothing."""
        if handle:
            self._people[uid] = (handle, name or self._people.get(uid, ("", ""))[1])

    def remember(self, contacts: Iterable[Contact], wishes: Iterable[ContactWish]) -> list[Effect]:
        """Take from disk the list as it was last heard, and the wishes that the home has not confirmed yet."""
        for contact in contacts:
            self._told[contact.uid] = contact
            self.meet(contact.uid, contact.handle, contact.name)
        for wish in wishes:
            self.wishes[wish.uid] = wish
            self.meet(wish.uid, wish.handle, wish.name)
        return self._anew()

    def welcome(self, contacts: Iterable[Contact], now: datetime) -> tuple[list[Effect], list[int]]:
        """Take the whole list at the start of a connection. Also gives the people who came online since they were last heard of."""
        self.live = True
        self._told = {contact.uid: contact for contact in contacts}
        self._presence = {}
        came = [contact.uid for contact in self._told.values() if self._hear(contact.uid, contact.presence, "", now)]
        for contact in self._told.values():
            self.meet(contact.uid, contact.handle, contact.name)
        return self._anew(), came

    def disconnected(self) -> list[Effect]:
        """The connection is gone, so nobody's presence is known any more."""
        if not self.live:
            return []
        self.live = False
        return self._anew()

    def presence(self, changes: Iterable[PresenceChange], now: datetime) -> tuple[list[Effect], list[int]]:
        """Take changes of presence. Also gives the people who came online. Changes before the welcome are ignored."""
        effects: list[Effect] = []
        came: list[int] = []
        for change in changes if self.live else ():
            before = self._presence.get(change.uid, NOBODY_KNOWS)
            if self._hear(change.uid, change.presence, change.reason, now):
                came.append(change.uid)
            if before != change.presence:
                effects += self.touch(change.uid, moved=before.status != change.presence.status)
        return effects, came

    def changed_elsewhere(self, added: Iterable[Contact], removed: Iterable[int], now: datetime) -> list[Effect]:
        """Another session of mine changed the list."""
        for contact in added:
            self._told[contact.uid] = contact
            self.meet(contact.uid, contact.handle, contact.name)
            self._hear(contact.uid, contact.presence, "", now)
        for uid in removed:
            self._drop(uid)
        return self._anew()

    def _drop(self, uid: int) -> None:
        """Take a person off the list. The home tells nothing of them any more, so their last presence is worthless when they come back."""
        self._told.pop(uid, None)
        self._presence.pop(uid, None)
        self._known.pop(uid, None)

    def _hear(self, uid: int, status: Status, reason: str, now: datetime) -> bool:
        """Take one person's presence. Gives True when they came online, unless they only reconnected."""
        before = self._known.get(uid)
        self._presence[uid] = status
        if status.status == "unknown":
            return False
        self._known[uid] = status.status
        if status.status == "offline":
            if before in REACHABLE and reason != "logoff":
                self._lost[uid] = now
            return False
        lost = self._lost.pop(uid, None)
        back = lost is not None and now - lost < timedelta(seconds=RETURN_S)
        return before == "offline" and not back and self.listed(uid) and self.row(uid).notify

    # --- what I want ---

    def wish(self, wish: ContactWish) -> list[Effect]:
        """Lay a wish over the list, and ask for it to be kept and told."""
        self.wishes[wish.uid] = wish
        self.meet(wish.uid, wish.handle, wish.name)
        return [*self._anew(), Wish(wish)]

    def remove(self, uid: int, now: datetime) -> list[Effect]:
        """Take a person off the list. The home is told when it can no longer be undone."""
        row = self.row(uid)
        until = now + timedelta(seconds=self.undo_s)
        self.removals[uid] = Removal(replace(row, unread=0), until)
        wish = ContactWish(uid, row.handle, row.name, row.alias, row.notify, listed=False, not_before=until)
        return [*self.wish(wish), RemovalsChanged()]

    def undo(self, uid: int) -> list[Effect]:
        """Put a removed person back on the list, as before."""
        removal = self.removals.pop(uid, None)
        if removal is None:
            return []
        row = removal.row
        return [*self.wish(ContactWish(uid, row.handle, row.name, row.alias, row.notify)), RemovalsChanged()]

    def forget_removals(self, now: datetime) -> list[Effect]:
        """Forget removals that can no longer be undone."""
        over = [uid for uid, removal in self.removals.items() if removal.until <= now]
        for uid in over:
            del self.removals[uid]
        return [RemovalsChanged()] if over else []

    def granted(self, wish: ContactWish, contact: Contact | None) -> list[Effect]:
        """The home has fulfilled a wish. A newer wish stays on top. Presence from the connection is newer than that of the answer."""
        if contact is None:
            self._drop(wish.uid)
        else:
            self._told[wish.uid] = contact
            self.meet(contact.uid, contact.handle, contact.name)
            if self.live and wish.uid not in self._presence:
                self._presence[wish.uid] = contact.presence
                if contact.presence.status != "unknown":
                    self._known[wish.uid] = contact.presence.status
        return self.unwish(wish)

    def unwish(self, wish: ContactWish) -> list[Effect]:
        """Drop a wish that is granted or refused."""
        if self.wishes.get(wish.uid) == wish:
            del self.wishes[wish.uid]
        return self._anew()

    def search(self, text: str) -> list[Effect]:
        """Show only people who match."""
        if text == self.filter:
            return []
        self.filter = text
        return self._anew()


def _matches(row: ContactRow, wanted: list[str]) -> bool:
    if not wanted:
        return True
    words = f"{row.alias or ''} {row.name} {row.handle} {row.note}".casefold().split()
    return all(any(word.startswith(start) for word in words) for start in wanted)
