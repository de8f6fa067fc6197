"""The messages with one person. Rule: a new line is added and a changed one replaced; everything is drawn only when necessary."""

import tkinter as tk
from collections.abc import Callable, Iterable
from tkinter import ttk

from clients.tk.model.values import Entry, Sent, SentState
from clients.tk.views import words
from clients.tk.views.context import ViewContext
from clients.tk.views.linked_text import LinkedText

NEAR_END = 0.999  # of the scrollbar: from there on new lines keep the end visible
SHOWN = 300  # entries that are drawn at first; a button gives more, so that a long conversation opens as fast as a new one


class Transcript(ttk.Frame):
    """A scrolled text of entries. `title(entry)`: the name of the sender. `older`: asks for earlier ones."""

    def __init__(self, master: tk.Misc, context: ViewContext, title: Callable[[Entry], str], older: Callable[[], None]) -> None:
        super().__init__(master)
        self._context, self._title = context, title
        theme = context.theme
        self.text = LinkedText(self, theme)
        self.text.configure(padx=theme.px(14), pady=theme.px(8), takefocus=True)
        self._bar = ttk.Scrollbar(self, orient="vertical", command=self.text.yview)
        self.text.configure(yscrollcommand=self._bar.set)
        self._bar.pack(side="right", fill="y")
        self.text.pack(side="left", fill="both", expand=True)
        self._older = ttk.Button(self.text, text="Earlier messages", style="Toolbutton", command=older)
        self._states: dict[str, SentState] = {}
        self.bind("<<ThemeChanged>>", lambda event: self._colour())
        self._colour()

    def show(self, entries: Iterable[Entry], *, more: bool) -> None:
        """Draw all entries again. `more`: earlier ones can be asked for."""
        self.text.delete("1.0", "end")
        self._states.clear()
        if more:
            self.text.window_create("1.0", window=self._older)
            self.text.insert("end", "\n")
        for entry in list(entries)[-SHOWN:]:
            self._write(entry)
        self.text.see("end")

    def add(self, entry: Entry) -> None:
        """Add one entry at the end."""
        at_end = self.text.yview()[1] >= NEAR_END
        self._write(entry)
        if at_end or isinstance(entry, Sent):
            self.text.see("end")

    def change(self, entry: Entry) -> None:
        """Draw the new state of a sent message."""
        if not isinstance(entry, Sent):
            return
        where = self.text.tag_ranges(f"state-{entry.id}")
        if not where:
            return
        start, end = str(where[0]), str(where[-1])
        self.text.delete(start, end)
        self._state(entry, start)

    def _write(self, entry: Entry) -> None:
        text, mine = self.text, isinstance(entry, Sent)
        text.insert("end", self._title(entry), ("who", "mine" if mine else "theirs"))
        text.insert("end", f"   {words.clock(entry.at, self._context.now())}", ("quiet",))
        if entry.urgent:
            text.insert("end", "   urgent", ("urgent",))
        if isinstance(entry, Sent):
            self._state(entry, None)
        text.insert("end", "\n")
        answered = self._context.model.answered(entry)
        if answered is not None:
            text.insert("end", f"↳ {words.one_line(answered.text, 80)}\n", ("quote",))
        text.say(entry.text, "said")
        text.insert("end", "\n", ("gap",))

    def _state(self, entry: Sent, at: str | None) -> None:
        said = words.STATES[entry.state] + (f": {entry.why}" if entry.why and entry.state is SentState.BOUNCED else "")
        tag = {SentState.BOUNCED: "bad", SentState.DONE: "good", SentState.DELIVERED: "good"}.get(entry.state, "quiet")
        self.text.insert(at or "end", f"   {words.MARKS[entry.state]} {said}", (tag, f"state-{entry.id}"))

    def _colour(self) -> None:
        theme, colours = self._context.theme, self._context.theme.palette
        text = self.text
        text.tag_configure("who", font=theme.strong, spacing1=theme.px(10))
        text.tag_configure("mine", foreground=colours.accent)
        text.tag_configure("theirs", foreground=colours.text)
        for tag, colour in (("quiet", colours.quiet), ("bad", colours.bad), ("good", colours.good), ("urgent", colours.bad)):
            text.tag_configure(tag, foreground=colour, font=theme.small)
        text.tag_configure("quote", foreground=colours.quiet, font=theme.small, lmargin1=theme.px(10), lmargin2=theme.px(22))
        text.tag_configure("said", spacing1=theme.px(2), spacing3=theme.px(2))
        text.tag_raise("link")
