"""Places popups. Rule: along the right edge from the top down, then in the next column to the left; none is moved without need."""

import tkinter as tk
from collections.abc import Callable

from clients.tk.model.inputs import PopupMapped
from clients.tk.model.values import Popup
from clients.tk.views.context import ViewContext
from clients.tk.views.popup import WIDTH, PopupWindow
from clients.tk.views.theme import WORDS
from clients.tk.views.x_keyboard import Keyboard

EDGE = 12  # between popups, and between a popup and the edge of the screen
TOP = 44  # many desktops have a panel above that line


class PopupStack:
    """Every popup on the screen. `shown(popup_id)`: called when one has just been mapped."""

    def __init__(self, root: tk.Tk, context: ViewContext, *, inbox: Callable[[], None], shown: Callable[[str], None]) -> None:
        self._root, self._context, self._inbox, self._shown = root, context, inbox, shown
        self._open: dict[str, PopupWindow] = {}
        self._pending: str | None = None
        self._keyboard = Keyboard(root)

    def warm_up(self) -> None:
        """Make one popup of each kind before it is needed, so that fonts, pictures and styles are there when a popup must be quick."""
        for status in WORDS:
            self._context.theme.mark(status, around=self._context.theme.palette.card)
            self._context.theme.mark(status, around=self._context.theme.palette.page)
        for popup in (Popup("warm-1", "summary"), Popup("warm-2", "online", uid=0)):
            window = self._made(popup)
            window.update_idletasks()
            window.destroy()

    def show(self, popup: Popup) -> None:
        """Put a popup on the screen, on top, without the keyboard."""
        if popup.id in self._open:
            self.update(popup)
            return
        window = self._made(popup)
        self._open[popup.id] = window
        window.update_idletasks()
        self._place()
        window.deiconify()
        window.lift()

    def _made(self, popup: Popup) -> PopupWindow:
        keyboard = self._keyboard
        return PopupWindow(self._root, self._context, popup, keyboard, moved=self._later, mapped=self._mapped, inbox=self._inbox)

    def update(self, popup: Popup) -> None:
        """Draw a popup that has another count."""
        if popup.id in self._open:
            self._open[popup.id].draw(popup)

    def hide(self, popup_id: str) -> None:
        """Take a popup away, and let the others close the gap."""
        window = self._open.pop(popup_id, None)
        if window is not None:
            window.destroy()
            self._later()

    def redraw_of(self, uid: int | None) -> None:
        """Draw the popups of one person again (None: of everybody), because the presence has changed."""
        for window in self._open.values():
            if uid is None or window.popup.uid == uid or (window.popup.key or (None,))[0] == uid:
                window.draw()

    def newest_of(self, uid: int) -> PopupWindow | None:
        """The newest popup with a message of someone."""
        return next((window for window in reversed(self._open.values()) if (window.popup.key or (None,))[0] == uid), None)

    def clear(self) -> None:
        """Close every popup, because nobody is signed in any more."""
        for popup_id in list(self._open):
            self.hide(popup_id)

    def take_keyboard(self) -> bool:
        """Give the keyboard to the newest popup, because a person asked for it. Gives False when there is none."""
        if not self._open:
            return False
        list(self._open.values())[-1].take_keyboard()
        return True

    def _mapped(self, window: PopupWindow) -> None:
        self._shown(window.popup.id)
        self._context.do(PopupMapped(window.popup.id))

    def _later(self) -> None:
        if self._pending is None:
            self._pending = self._root.after_idle(self._place)

    def _place(self) -> None:
        if self._pending is not None:
            self._root.after_cancel(self._pending)
            self._pending = None
        px = self._context.theme.px
        wide, tall = self._root.winfo_screenwidth(), self._root.winfo_screenheight()
        width = min(px(WIDTH), wide - 2 * px(EDGE))
        x, y = wide - width - px(EDGE), px(TOP)
        for window in self._open.values():
            height = window.winfo_reqheight()
            if y + height > tall - px(EDGE) and y > px(TOP):
                x, y = x - width - px(EDGE), px(TOP)
                if x < 0:  # the screen is full, so begin again above the oldest popups
                    x = wide - width - px(EDGE) * 2
            wanted = f"{width}x{height}+{x}+{y}"
            if window.geometry() != wanted:
                window.geometry(wanted)
            y += height + px(EDGE)
