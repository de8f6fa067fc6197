"""The line that tells how the connection is. Rule: it is drawn from the model's text and the clock, once a second."""

import tkinter as tk
from tkinter import ttk

from clients.tk.views.context import ViewContext

MARKS = {"connected": "online", "connecting": "away", "reconnecting": "away", "signed_out": "offline"}
EVERY_MS = 1000  # the countdown is in seconds


class ConnectionLine(ttk.Frame):
    """A mark, and the model's text about the connection."""

    def __init__(self, master: tk.Misc, context: ViewContext) -> None:
        theme = context.theme
        super().__init__(master, padding=(theme.px(12), theme.px(5)))
        self._context = context
        self._mark = ttk.Label(self)
        self._mark.pack(side="left", padx=(0, theme.px(8)))
        self._words = ttk.Label(self, style="Quiet.TLabel")
        self._words.pack(side="left", fill="x", expand=True)
        self._line = ""
        self.bind("<<ThemeChanged>>", lambda event: self.draw())
        self.bind("<Configure>", lambda event: self.draw())
        self._tick()

    @property
    def said(self) -> str:
        """The whole line, even if only a part of it has room."""
        return self._line

    def draw(self) -> None:
        """Draw the present state."""
        connection, theme = self._context.model.connection, self._context.theme
        line = connection.line(self._context.now())
        self._line = line[:1].upper() + line[1:]
        room = self.winfo_width() - theme.px(46)
        shown = theme.fit(self._line, theme.small, room) if room > 0 else self._line
        self._words.configure(text=shown)
        self._mark.configure(image=theme.mark(MARKS.get(connection.state, "unknown")))

    def _tick(self) -> None:
        self.draw()
        self.after(EVERY_MS, self._tick)
