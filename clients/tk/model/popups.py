"""Which popups are on the screen. Rule: a message pops up once, and there are never more windows than a person can bear.

- Urgent messages always show. Under "do not disturb" the others wait until it ends.
- After a login, and after "do not disturb", at most five ordinary popups show. If more wait, one summary stands for all of them.
- Live messages show at once, until the edge of the screen is full; then the summary counts the rest.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from clients.tk.model.effects import Effect, HidePopup, MarkShown, ReplayChanged, Ring, ShowPopup, UpdatePopup
from clients.tk.model.values import MessageKey, Popup, Received, Replay

FEW = 5  # waiting messages that may still get windows of their own (users of the patent's client complained of floods)
FULL = 8  # popups that fit at the edge of a screen of 768 lines
ONLINE_FULL = 3  # notifications at a time: when a whole office comes back, the contact window shows it better
QUIET_S = 1.5  # a backlog that pauses so long is over: the home counts messages that this client had already and does not give again
SUMMARY = "summary"


def popup_id(key: MessageKey) -> str:
    """The id of a message's popup."""
    return f"message:{key[0]}:{key[1]}"


class Popups:
    """The open popups, and the messages that have yet to get one."""

    def __init__(self) -> None:
        self.open: dict[str, Popup] = {}
        self.replay: Replay | None = None
        self._last: datetime | None = None  # when the backlog last moved
        self._summed: dict[MessageKey, None] = {}  # the messages that the summary counts
        self._held: dict[MessageKey, None] = {}  # messages of a backlog, until it is decided how to show them
        self._parked: dict[MessageKey, None] = {}  # messages that "do not disturb" keeps back

    # --- messages ---

    def arrived(self, message: Received, now: datetime, *, dnd: bool) -> list[Effect]:
        """A message that was never here before."""
        effects: list[Effect] = []
        in_replay = self.replay is not None
        if self.replay is not None:
            self.replay, self._last = replace(self.replay, got=self.replay.got + 1), now
            effects.append(ReplayChanged())
        if message.open:
            if message.urgent:
                effects += self._show_or_sum(message.key, urgent=True)
            elif dnd:
                self._parked[message.key] = None
            elif in_replay:
                self._held[message.key] = None
                effects += self._sum_when_many()
            else:
                effects += self._show_or_sum(message.key)
        if self.replay is not None and self.replay.got >= self.replay.total:
            effects += self.replay_over()
        return effects

    def waiting(self, messages: Iterable[Received], *, dnd: bool) -> list[Effect]:
        """Open messages of an earlier run that no popup has shown, and urgent ones that are still unanswered."""
        effects: list[Effect] = []
        for message in messages:
            if message.urgent:
                effects += self._show_or_sum(message.key, urgent=True)
            elif dnd:
                self._parked[message.key] = None
            else:
                self._held[message.key] = None
        return effects + self._decide()

    def closed(self, keys: Iterable[MessageKey]) -> list[Effect]:
        """Messages were done or answered, here or elsewhere, so they need no popup any more."""
        effects: list[Effect] = []
        for key in keys:
            self._held.pop(key, None)
            self._parked.pop(key, None)
            effects += self._hide(popup_id(key))
            if key in self._summed:
                del self._summed[key]
                effects += self._count()
        return effects

    def looked_at(self, uid: int) -> list[Effect]:
        """A conversation was opened, so its waiting messages need no popup. Popups that are open stay until Done."""
        for waiting in (self._held, self._parked):
            for key in [key for key in waiting if key[0] == uid]:
                del waiting[key]
        summed = [key for key in self._summed if key[0] == uid]
        for key in summed:
            del self._summed[key]
        return self._count() if summed else []

    def put_off(self, id: str) -> list[Effect]:
        """Later: the window goes, and the messages stay in the inbox."""
        marks = self.mapped(id)
        if id == SUMMARY:
            self._summed.clear()
        return [*marks, *self._hide(id)]

    def mapped(self, id: str) -> list[Effect]:
        """A popup is on the screen, so its messages need no popup after a restart."""
        popup = self.open.get(id)
        if popup is None:
            return []
        keys = tuple(self._summed) if popup.key is None else (popup.key,)
        return [MarkShown(keys)] if keys else []

    # --- logins and "do not disturb" ---

    def login(self, count: int, now: datetime) -> list[Effect]:
        """A connection begins, and `count` messages wait at the home."""
        effects = self.replay_over()
        if count + self._ordinary() > FEW:
            self.replay, self._last = Replay(count), now
            effects.append(ReplayChanged())
        return effects

    def tick(self, now: datetime) -> list[Effect]:
        """End a backlog that has paused for long enough."""
        if self.replay is not None and self._last is not None and now - self._last > timedelta(seconds=QUIET_S):
            return self.replay_over()
        return []

    def replay_over(self) -> list[Effect]:
        """The backlog is over: show the messages that were held back."""
        if self.replay is None:
            return []
        self.replay = self._last = None
        return [*self._decide(), ReplayChanged()]

    def disturb_again(self) -> list[Effect]:
        """The time of "do not disturb" is over."""
        self._held.update(self._parked)
        self._parked.clear()
        return self._decide()

    def stop_disturbing(self) -> list[Effect]:
        """The time of "do not disturb" begins: notifications go, and popups of messages stay until they are dealt with."""
        return self._hide_all(lambda popup: popup.kind == "online")

    def clear(self) -> list[Effect]:
        """The user has signed out, so nothing stays on the screen."""
        return self._hide_all(lambda popup: True)

    # --- contacts ---

    def came_online(self, uid: int, *, dnd: bool) -> list[Effect]:
        """A contact of whom I want to be told came online."""
        id = f"online:{uid}"
        if dnd or id in self.open or sum(popup.kind == "online" for popup in self.open.values()) >= ONLINE_FULL:
            return []
        return self._show(Popup(id, "online", uid))

    def went(self, uid: int) -> list[Effect]:
        """A contact is not online any more."""
        return self._hide(f"online:{uid}")

    # --- showing and counting ---

    def _ordinary(self) -> int:
        return sum(popup.kind == "message" and not popup.urgent for popup in self.open.values())

    def _decide(self) -> list[Effect]:
        effects = self._sum_when_many()
        held, self._held = list(self._held), {}
        return effects + [effect for key in held for effect in self._show_or_sum(key)]

    def _sum_when_many(self) -> list[Effect]:
        if SUMMARY not in self.open and len(self._held) + self._ordinary() <= FEW:
            return []
        held, self._held = self._held, {}
        return self._sum(held)

    def _show_or_sum(self, key: MessageKey, *, urgent: bool = False) -> list[Effect]:
        if sum(popup.kind == "message" for popup in self.open.values()) < FULL:
            effects = self._show(Popup(popup_id(key), "message", key[0], key, urgent=urgent))
        else:
            effects = self._sum((key,))
        return [*effects, Ring()] if urgent else effects

    def _show(self, popup: Popup) -> list[Effect]:
        self.open[popup.id] = popup
        return [ShowPopup(popup)]

    def _sum(self, keys: Iterable[MessageKey]) -> list[Effect]:
        """Let the summary count these messages too. If it is on the screen already, it is the popup that they have had."""
        fresh = tuple(keys)
        marks: list[Effect] = [MarkShown(fresh)] if fresh and SUMMARY in self.open else []
        self._summed.update(dict.fromkeys(fresh))
        return [*marks, *self._count()]

    def _count(self) -> list[Effect]:
        """Open, change or close the summary, depending on how many messages it counts."""
        if not self._summed:
            return self._hide(SUMMARY)
        popup = Popup(SUMMARY, "summary", count=len(self._summed))
        known = self.open.get(SUMMARY)
        self.open[SUMMARY] = popup
        if known is None:
            return [ShowPopup(popup)]
        return [] if known == popup else [UpdatePopup(popup)]

    def _hide(self, id: str) -> list[Effect]:
        return [] if self.open.pop(id, None) is None else [HidePopup(id)]

    def _hide_all(self, chosen: Callable[[Popup], bool]) -> list[Effect]:
        return [effect for popup in list(self.open.values()) if chosen(popup) for effect in self._hide(popup.id)]
