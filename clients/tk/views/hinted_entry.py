"""A field that shows a hint while it is empty. Rule: the hint is never part of the text."""

import tkinter as tk
from tkinter import ttk

from clients.tk.views.theme import Theme


class HintedEntry(ttk.Entry):
    """An entry with a hint (Tk 8.6 has no `-placeholder`)."""

    def __init__(self, master: tk.Misc, theme: Theme, hint: str) -> None:
        self.text = tk.StringVar(master)
        super().__init__(master, textvariable=self.text, width=10)
        self._theme = theme
        self._hint = tk.Label(self, text=hint, font=theme.body, borderwidth=0, padx=0, pady=0, cursor="xterm")
        self._hint.bind("<Button-1>", lambda event: self.focus_set())
        self.text.trace_add("write", lambda *why: self._draw())
        for event in ("<<ThemeChanged>>", "<FocusIn>", "<FocusOut>"):
            self.bind(event, lambda event: self._draw(), add="+")
        self._draw()

    def _draw(self) -> None:
        colours = self._theme.palette
        self._hint.configure(background=colours.page if self.focus_displayof() is self else colours.field, foreground=colours.quiet)
        if self.text.get():
            self._hint.place_forget()
        else:
            self._hint.place(x=self._theme.px(13), rely=0.5, anchor="w")
