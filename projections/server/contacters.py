"""Whom must I tell? Rule: a pure fold of this home's own log: no presence, no sessions.

`watchers`: for any user, the local users who have them as a contact. `contacters`: for local users, everybody who watches them.
"""

from typing import Any, ClassVar

from domain.event import Event
from domain.events.home import ContactAdded, ContactChanged, ContacterAdded, ContacterRemoved, ContactRemoved

FORMAT = 1  # of the dump; another one is thrown away and folded anew


class ContacterIndex:
    """The contacter index of one home."""

    FOLDS: ClassVar[frozenset[type]] = frozenset(
        (ContactAdded, ContactChanged, ContactRemoved, ContacterAdded, ContacterRemoved)
    )  # the events that matter here

    def __init__(self) -> None:
        self.position = 0
        self.watchers: dict[int, dict[int, bool]] = {}  # watched uid -> {local uid: wants a popup when they come online}
        self.home_of: dict[int, str] = {}  # watched uid -> home
        self.contacters: dict[int, dict[int, str]] = {}  # local uid -> {contacter: the contacter's home}

    def apply(self, position: int, event: Event) -> None:
        """Fold one event of this home's own log."""
        if position <= self.position:
            return
        self.position = position
        match event:
            case ContactAdded():
                self.watchers.setdefault(event.uid, {})[event.stream_uid] = event.notify
                self.home_of[event.uid] = event.home
            case ContactChanged():
                if event.stream_uid in self.watchers.get(event.uid, {}):
                    self.watchers[event.uid][event.stream_uid] = event.notify
            case ContactRemoved():
                watchers = self.watchers.get(event.uid, {})
                watchers.pop(event.stream_uid, None)
                if not watchers:
                    self.watchers.pop(event.uid, None)
                    self.home_of.pop(event.uid, None)
            case ContacterAdded():
                self.contacters.setdefault(event.stream_uid, {})[event.uid] = event.home
            case ContacterRemoved():
                contacters = self.contacters.get(event.stream_uid, {})
                contacters.pop(event.uid, None)
                if not contacters:
                    self.contacters.pop(event.stream_uid, None)

    def homes_watching(self, uid: int) -> set[str]:
        """The homes whose users watch this local user."""
        return set(self.contacters.get(uid, {}).values())

    def watched_at(self, home: str) -> list[int]:
        """The users of `home` that somebody here watches."""
        return [uid for uid, their_home in self.home_of.items() if their_home == home]

    def dump(self) -> dict[str, Any]:
        """Plain data of the whole index."""
        return {
            "format": FORMAT,
            "position": self.position,
            "watchers": {uid: dict(w) for uid, w in self.watchers.items()},
            "home_of": dict(self.home_of),
            "contacters": {uid: dict(c) for uid, c in self.contacters.items()},
        }

    def load(self, data: dict[str, Any]) -> bool:
        """The reverse of `dump`. False, and nothing changed, for data of another format."""
        if data.get("format") != FORMAT:
            return False
        self.position, self.watchers, self.home_of, self.contacters = (
            data["position"],
            data["watchers"],
            data["home_of"],
            data["contacters"],
        )
        return True
