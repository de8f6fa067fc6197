"""My own status: a button with a menu, and a note. Rule: it shows the status in the model, whether the home has it or not."""

import tkinter as tk
from collections.abc import Callable
from datetime import datetime, timedelta
from tkinter import ttk

from clients.tk.model.inputs import SetStatus
from clients.tk.model.values import StatusName
from clients.tk.views import words
from clients.tk.views.context import ViewContext
from clients.tk.views.theme import WORDS

SPANS = (("for 30 minutes", timedelta(minutes=30)), ("for 1 hour", timedelta(hours=1)), ("for 4 hours", timedelta(hours=4)))
MORNING_HOUR = 8  # when "tomorrow" begins


class StatusMenu(ttk.Menubutton):
    """Offers online, away, do not disturb (until some moment or without end), and a note."""

    def __init__(self, master: tk.Misc, context: ViewContext, edit_note: Callable[[], None]) -> None:
        super().__init__(master, style="Toolbutton", compound="left", direction="below", takefocus=True)
        self._context = context
        menu = tk.Menu(self, tearoff=False)
        menu.add_command(label="Online", command=lambda: self._set("online", None), underline=0)
        menu.add_command(label="Away", command=lambda: self._set("away", None), underline=0)
        menu.add_separator()
        menu.add_command(label="Do not disturb", underline=0, command=lambda: self._set("dnd", None))
        for said, span in SPANS:
            menu.add_command(label=f"Do not disturb {said}", command=lambda span=span: self._set("dnd", context.now() + span))  # type: ignore[misc]
        menu.add_command(label="Do not disturb until tomorrow", command=lambda: self._set("dnd", self._tomorrow()), underline=21)
        menu.add_separator()
        menu.add_command(label="Note…", command=edit_note, underline=0)
        self.menu = menu
        self.configure(menu=menu)
        self.bind("<<ThemeChanged>>", lambda event: self.draw())
        self.draw()

    def draw(self) -> None:
        """Show my status."""
        status = self._context.model.status
        connected = self._context.model.connection.state == "connected"  # without a connection nobody sees my status
        said = WORDS.get(status.status, status.status).capitalize()
        if status.until is not None:
            said += f" until {words.clock(status.until, self._context.now())}"
        if not status.saved:
            said += " (saving…)"
        self.configure(text=f" {said} ▾", image=self._context.theme.mark(status.status if connected else "unknown"))

    def _set(self, status: StatusName, until: datetime | None) -> None:
        self._context.do(SetStatus(status, self._context.model.status.note, until))

    def _tomorrow(self) -> datetime:
        local = self._context.now().astimezone() + timedelta(days=1)
        return local.replace(hour=MORNING_HOUR, minute=0, second=0, microsecond=0)
