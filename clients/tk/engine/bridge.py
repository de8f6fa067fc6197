"""Connects the engine's thread and the views' thread. Rule: the model is folded on the views' thread only; neither thread waits.

bridge = Bridge(Model())
engine = Engine(bridge, …); engine.start()          # binds itself: commands reach it from then on, earlier ones too
effects = bridge.drain(limit_ms=8)                   # views' thread: from an `after` tick, and when `fileno()` is readable
effects = bridge.do(Write(new_id(), uid, text))      # views' thread: an intent; dispatch its effects like those of `drain`
"""

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from clients.tk.model import effects as fx
from clients.tk.model.inputs import Intent, Report, Tick
from clients.tk.model.model import Model
from flash_sdk import Event as SdkEvent

TICK_S = 0.25  # soon enough for a countdown in seconds, for the end of an undo and for a pause in a backlog
FOLD_MS = 8.0  # half a frame: nobody notices the folding, and drawing has the other half
_REMEMBERED = 256  # popups whose time of arrival is kept until they are mapped; there are never more at once


def now_utc() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


class Bridge:
    """Carries reports from the engine to the model, and commands from the model to the engine."""

    def __init__(self, model: Model, clock: Callable[[], datetime] = now_utc) -> None:
        self.model = model
        self._clock = clock
        self._reports: deque[tuple[Report | SdkEvent, float]] = deque()
        self._submit: Callable[[fx.Command], None] | None = None
        self._unsent: deque[fx.Command] = deque()
        self._lock = threading.Lock()  # of `_rung`; it is held for a few instructions, never while folding or drawing
        self._bell_in, self._bell_out = socket.socketpair()
        self._bell_in.setblocking(False)
        self._bell_out.setblocking(False)
        self._rung = False
        self._ticked = float("-inf")
        self._arrivals: dict[str, float] = {}

    # --- any thread; the engine's side ---

    def report(self, happened: Report | SdkEvent, came_at: float | None = None) -> None:
        """Hand something to the model. `came_at`: when it reached this program (`time.monotonic()`), for `age_ms`. Never waits."""
        self._reports.append((happened, time.monotonic() if came_at is None else came_at))
        self._ring()

    def bind(self, submit: Callable[[fx.Command], None]) -> None:
        """Say where commands go. `submit` is called on the views' thread and must not wait; it gets the earlier commands as well."""
        self._submit = submit
        while self._unsent:
            submit(self._unsent.popleft())

    # --- the views' thread ---

    def fileno(self) -> int:
        """A descriptor that is readable when `drain` has something to do (for `tk.createfilehandler`, where there is one)."""
        return self._bell_out.fileno()

    @property
    def waiting(self) -> int:
        """How many reports wait to be folded. If some are left after `drain`, call it again after the views have drawn."""
        return len(self._reports)

    def drain(self, limit_ms: float = FOLD_MS) -> list[fx.ViewEffect]:
        """Fold reports in order, for at most about `limit_ms` but at least one. Call it at least every 250 ms."""
        start = time.monotonic()
        effects: list[fx.Effect] = []
        self._unring()
        if start - self._ticked >= TICK_S:
            self._ticked = start
            effects += self.model.fold(Tick(), self._clock())
        while self._reports:
            happened, came_at = self._reports.popleft()
            fresh = self.model.fold(happened, self._clock())
            self._remember(fresh, came_at)
            effects += fresh
            if (time.monotonic() - start) * 1000 >= limit_ms:
                break
        if self._reports:
            self._ring()
        return self._sorted_out(effects)

    def do(self, intent: Intent) -> list[fx.ViewEffect]:
        """Fold an intent. The engine gets the commands, and the caller draws the other effects."""
        return self._sorted_out(self.model.fold(intent, self._clock()))

    def age_ms(self, popup_id: str) -> float | None:
        """Milliseconds since the message of this popup reached this program; None after a restart, or when it was asked before."""
        came_at = self._arrivals.pop(popup_id, None)
        return None if came_at is None else (time.monotonic() - came_at) * 1000

    def close(self) -> None:
        """Close the descriptors. Later reports are kept and ignored."""
        self._bell_in.close()
        self._bell_out.close()

    def _sorted_out(self, effects: Sequence[fx.Effect]) -> list[fx.ViewEffect]:
        """Give commands to the engine in order, and drop effects that need no drawing. Of equal effects that ask for a part of the model
        to be drawn again the first is enough. When a whole conversation is drawn again, its entries must not be appended once more."""
        for_views: list[fx.ViewEffect] = []
        seen: set[fx.ViewEffect] = set()
        whole = {effect.uid for effect in effects if isinstance(effect, fx.ConversationChanged)}
        for effect in effects:
            if isinstance(effect, fx.Command):
                if self._submit is None:
                    self._unsent.append(effect)
                else:
                    self._submit(effect)
            elif isinstance(effect, fx.EntryAdded | fx.EntryChanged):
                if effect.uid not in whole:
                    for_views.append(effect)
            elif isinstance(effect, fx.ShowPopup | fx.UpdatePopup | fx.HidePopup | fx.Say):  # steps, of which none is a repeat
                for_views.append(effect)
            elif effect not in seen:
                seen.add(effect)
                for_views.append(effect)
        return for_views

    def _remember(self, effects: Sequence[fx.Effect], came_at: float) -> None:
        for effect in effects:
            if isinstance(effect, fx.ShowPopup):
                self._arrivals[effect.popup.id] = came_at
                if len(self._arrivals) > _REMEMBERED:
                    del self._arrivals[next(iter(self._arrivals))]

    def _unring(self) -> None:
        with self._lock:
            self._rung = False
        with contextlib.suppress(OSError):
            while self._bell_out.recv(64):
                pass

    def _ring(self) -> None:
        with self._lock:
            if self._rung:
                return
            self._rung = True
        with contextlib.suppress(OSError):  # the socket is closed, or it is full and so a ring waits already
            self._bell_in.send(b"\0")
