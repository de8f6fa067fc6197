"""Whom this home must tell about a user. Rule: a pure fold of this home's own log; it knows no presence and no sessions."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.home import ContactAdded, ContactChanged, ContacterAdded, ContacterRemoved, ContactRemoved
from projections.server.log_fold import LogFold


class ContacterIndex(LogFold):
    """The contacter index of one home.

    `watchers`: for any user, the local users who have that user as a contact. `contacters`: for local users, everybody who watches them.
    `contacts`: for local users, how many contacts they have.
    """

    def __init__(self) -> None:
        super().__init__()
        self.watchers: dict[int, dict[int, bool]] = {}  # watched uid -> {local uid: wants a popup when the watched user comes online}
        self.home_of: dict[int, str] = {}  # watched uid -> home
        self.contacters: dict[int, dict[int, str]] = {}  # local uid -> {contacter: the contacter's home}
        self.contacts: Counter[int] = Counter()

    def homes_watching(self, uid: int) -> set[str]:
        """The homes whose users watch this local user."""
        return set(self.contacters.get(uid, {}).values())

    def is_watched_from(self, uid: int, home: str) -> bool:
        """Whether a user of `home` watches this local user."""
        return home in self.contacters.get(uid, {}).values()

    def watched_at(self, home: str) -> list[int]:
        """The users of `home` that somebody here watches."""
        return [uid for uid, their_home in self.home_of.items() if their_home == home]

    def to_checkpoint(self) -> dict[str, Any]:
        """The whole index as plain data."""
        return self.checkpoint(
            watchers={uid: dict(w) for uid, w in self.watchers.items()},
            home_of=dict(self.home_of),
            contacters={uid: dict(c) for uid, c in self.contacters.items()},
        )

    def take(self, data: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint."""
        self.watchers, self.home_of, self.contacters = data["watchers"], data["home_of"], data["contacters"]
        self.contacts = Counter(watcher for watchers in self.watchers.values() for watcher in watchers)

    def _contact_added(self, event: ContactAdded) -> None:
        watchers, uid = self.watchers.setdefault(event.uid, {}), event.stream_uid
        if uid not in watchers:
            self.contacts[uid] += 1
        watchers[uid] = event.notify
        self.home_of[event.uid] = event.home

    def _contact_changed(self, event: ContactChanged) -> None:
        watchers = self.watchers.get(event.uid, {})
        if (uid := event.stream_uid) in watchers:
            watchers[uid] = event.notify

    def _contact_removed(self, event: ContactRemoved) -> None:
        watchers = self.watchers.get(event.uid, {})
        uid = event.stream_uid
        if watchers.pop(uid, None) is not None:
            self.contacts[uid] -= 1
            if not self.contacts[uid]:
                del self.contacts[uid]
        if not watchers:
            self.watchers.pop(event.uid, None)
            self.home_of.pop(event.uid, None)

    def _contacter_added(self, event: ContacterAdded) -> None:
        self.contacters.setdefault(event.stream_uid, {})[event.uid] = event.home

    def _contacter_removed(self, event: ContacterRemoved) -> None:
        contacters = self.contacters.get(uid := event.stream_uid, {})
        contacters.pop(event.uid, None)
        if not contacters:
            self.contacters.pop(uid, None)

    FOLDS: ClassVar = {
        ContactAdded: _contact_added,
        ContactChanged: _contact_changed,
        ContactRemoved: _contact_removed,
        ContacterAdded: _contacter_added,
        ContacterRemoved: _contacter_removed,
    }
