"""Which popups are on the screen. Rule: a message pops up once, and never more windows than a person can bear.

- Urgent ones always show; under "do not disturb" the others wait, and are looked at again when it ends.
- After a login, and after "do not disturb", five ordinary ones at most; when more wait, all that are not shown yet come as one summary.
- Live ones show at once, until a screen's edge is full; then the summary counts the rest.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from clients.tk.model.effects import Effect, HidePopup, MarkShown, ReplayChanged, Ring, ShowPopup, UpdatePopup
from clients.tk.model.values import MessageKey, Popup, Received, Replay

FEW = 5  # waiting messages that may still come as windows of their own (the patent client's users complained of floods)
FULL = 8  # popups that a screen of 768 lines stacks at its edge
ONLINE_FULL = 3  # notifications at a time: when a whole office comes back, the contact window tells it better
QUIET_S = 1.5  # a backlog that pauses so long is over: what this client had already is counted by the home, and not given again
SUMMARY = "summary"


def popup_id(key: MessageKey) -> str:
    """The id of a message's popup."""
    return f"message:{key[0]}:{key[1]}"


class Popups:
    """The open ones, and the messages that have yet to get one."""

    def __init__(self) -> None:
        self.open: dict[str, Popup] = {}
        self.replay: Replay | None = None
        self._last: datetime | None = None  # when the backlog last moved
        self._summed: dict[MessageKey, None] = {}  # what the summary counts
        self._held: dict[MessageKey, None] = {}  # of a backlog: how to show them is not decided yet
        self._parked: dict[MessageKey, None] = {}  # "do not disturb" keeps them

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
        """Done or answered, here or elsewhere: no popup for them any more."""
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
        """The conversation was opened: what waits there needs no popup; popups that are open stay until Done."""
        for waiting in (self._held, self._parked):
            for key in [key for key in waiting if key[0] == uid]:
                del waiting[key]
        summed = [key for key in self._summed if key[0] == uid]
        for key in summed:
            del self._summed[key]
        return self._count() if summed else []

    def put_off(self, id: str) -> list[Effect]:
        """Later: the window goes, the messages stay in the inbox."""
        marks = self.mapped(id)
        if id == SUMMARY:
            self._summed.clear()
        return [*marks, *self._hide(id)]

    def mapped(self, id: str) -> list[Effect]:
        """It is on the screen: what it shows needs no popup after a restart."""
        popup = self.open.get(id)
        if popup is None:
            return []
        keys = tuple(self._summed) if popup.key is None else (popup.key,)
        return [MarkShown(keys)] if keys else []

    # --- logins and "do not disturb" ---

    def login(self, count: int, now: datetime) -> list[Effect]:
        """A connection begins; `count` messages wait at the home."""
        effects = self.replay_over()
        if count + self._ordinary() > FEW:
            self.replay, self._last = Replay(count), now
            effects.append(ReplayChanged())
        return effects

    def tick(self, now: datetime) -> list[Effect]:
        """A backlog that fell quiet is over."""
        if self.replay is not None and self._last is not None and now - self._last > timedelta(seconds=QUIET_S):
            return self.replay_over()
        return []

    def replay_over(self) -> list[Effect]:
        """Show what was held back."""
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
        """The time of "do not disturb" begins: notifications go, messages that are open stay until they are dealt with."""
        return self._hide_all(lambda popup: popup.kind == "online")

    def clear(self) -> list[Effect]:
        """Signed out: nothing stays on the screen."""
        return self._hide_all(lambda popup: True)

    # --- contacts ---

    def came_online(self, uid: int, *, dnd: bool) -> list[Effect]:
        """A contact whom I asked to be told of."""
        id = f"online:{uid}"
        if dnd or id in self.open or sum(popup.kind == "online" for popup in self.open.values()) >= ONLINE_FULL:
            return []
        return self._show(Popup(id, "online", uid))

    def went(self, uid: int) -> list[Effect]:
        """They are not online any more."""
        return self._hide(f"online:{uid}")

    # --- how ---

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
        """Let the summary count these too. When it is on the screen already, they have had their popup with that."""
        fresh = tuple(keys)
        marks: list[Effect] = [MarkShown(fresh)] if fresh and SUMMARY in self.open else []
        self._summed.update(dict.fromkeys(fresh))
        return [*marks, *self._count()]

    def _count(self) -> list[Effect]:
        """Open, change or close the summary, as many as it counts."""
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
