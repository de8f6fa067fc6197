"""A window with a field to search in, and a table of what was found. Rule: it searches while the person types, after a pause."""

import tkinter as tk
from collections.abc import Sequence
from tkinter import ttk

from clients.tk.views.context import ViewContext
from clients.tk.views.hinted_entry import HintedEntry
from clients.tk.views.window import Window

Column = tuple[str, str, int, bool]  # its name, its heading, its usual width at 96 dots an inch, whether it takes the room that is left


class SearchWindow(Window):
    """A field, a table, and a line for words and buttons. `columns`: where the first is `#0`, its text is that of the rows themselves.
    `pause_ms`: how long the person has not typed when it searches."""

    def __init__(
        self, master: tk.Misc, context: ViewContext, name: str, title: str, usual: tuple[int, int], least: tuple[int, int],
        hint: str, pause_ms: int, columns: Sequence[Column],
    ) -> None:  # fmt: skip
        super().__init__(master, context, name, title, usual, least)
        px = context.theme.px
        top = ttk.Frame(self, padding=(px(12), px(12), px(12), px(8)))
        top.pack(side="top", fill="x")
        self.search = HintedEntry(top, context.theme, hint)
        self.search.pack(fill="x")
        self.bottom = ttk.Frame(self, padding=(px(12), px(8)))
        self.bottom.pack(side="bottom", fill="x")
        self._said = ttk.Label(self.bottom, style="Quiet.TLabel")
        self._said.pack(side="left", fill="x", expand=True)
        self.middle = ttk.Frame(self)
        self.middle.pack(side="top", fill="both", expand=True)
        names, show = [column[0] for column in columns], "headings"
        if names[0] == "#0":
            names, show = names[1:], "tree headings"
        self.table = ttk.Treeview(self.middle, columns=names, show=show.split(), selectmode="browse", height=4)
        for column, said, width, stretch in columns:
            self.table.heading(column, text=said, anchor="w")
            self.table.column(column, width=px(width), minwidth=px(60), stretch=stretch, anchor="w")
        bar = ttk.Scrollbar(self.middle, orient="vertical", command=self.table.yview)
        self.table.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.table.pack(side="left", fill="both", expand=True)
        self._pause_ms = pause_ms
        self._pending: str | None = None
        self.search.text.trace_add("write", lambda *why: self._typed())
        self.search.bind("<Down>", lambda event: self._to_table())

    @property
    def query(self) -> str:
        """What stands in the field."""
        return self.search.text.get().strip()

    def _typed(self) -> None:
        if self._pending is not None:
            self.after_cancel(self._pending)
        self._pending = self.after(self._pause_ms, self._ask)

    def _ask(self) -> None:
        """Search for what stands in the field."""
        self._pending = None

    def _to_table(self) -> str:
        self.table.focus_set()
        return "break"
