"""Finds people in the directory and adds them. Rule: it searches while the person types, and adding does not close it."""

import tkinter as tk
from tkinter import ttk

from clients.tk.model.inputs import AddContact, SearchDirectory
from clients.tk.model.values import Found
from clients.tk.views import words
from clients.tk.views.context import ViewContext
from clients.tk.views.hinted_entry import HintedEntry
from clients.tk.views.window import Window

USUAL, LEAST = (480, 420), (280, 240)
SEARCH_AFTER_MS = 250  # a pause in typing, because each search is a request
PLACE = ("organisation", "city", "state", "country")  # fields of a profile that tell two people of one name apart


class AddContactWindow(Window):
    """A field, the people that were found, and a button."""

    def __init__(self, master: tk.Misc, context: ViewContext) -> None:
        super().__init__(master, context, "add", "Add a contact - Flash", USUAL, LEAST)
        self._context = context
        theme = context.theme
        top = ttk.Frame(self, padding=(theme.px(12), theme.px(12), theme.px(12), theme.px(8)))
        top.pack(side="top", fill="x")
        self.search = HintedEntry(top, theme, "Name, handle, city, organisation…")
        self.search.pack(fill="x")
        bottom = ttk.Frame(self, padding=(theme.px(12), theme.px(8)))
        bottom.pack(side="bottom", fill="x")
        self._said = ttk.Label(bottom, style="Quiet.TLabel")
        self._said.pack(side="left", fill="x", expand=True)
        self.button = ttk.Button(bottom, text="Add", style="Accent.TButton", underline=0, command=self._add)
        self.button.pack(side="right")
        middle = ttk.Frame(self)
        middle.pack(side="top", fill="both", expand=True)
        self.table = ttk.Treeview(middle, columns=("handle", "about"), selectmode="browse", height=4)
        for column, said, width in (("#0", "Name", 160), ("handle", "Handle", 90), ("about", "Where", 160)):
            self.table.heading(column, text=said, anchor="w")
            self.table.column(column, width=theme.px(width), minwidth=theme.px(60), stretch=column != "handle", anchor="w")
        bar = ttk.Scrollbar(middle, orient="vertical", command=self.table.yview)
        self.table.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.table.pack(side="left", fill="both", expand=True)
        self._found: dict[str, Found] = {}
        self._pending: str | None = None
        self.search.text.trace_add("write", lambda *why: self._typed())
        self.search.bind("<Down>", lambda event: self._to_table())
        self.search.bind("<Return>", lambda event: self._add())
        self.table.bind("<Return>", lambda event: self._add())
        self.table.bind("<Double-Button-1>", lambda event: self._add())
        self.table.bind("<<TreeviewSelect>>", lambda event: self._button())
        self.bind("<Alt-a>", lambda event: self._add())
        self.draw()

    def open(self) -> None:
        """Show the window, with the keyboard in the field."""
        super().open()
        self.search.focus_set()

    def draw(self) -> None:
        """Draw the people that were found so far."""
        state = self._context.model.directory
        chosen = self._chosen()
        self.table.delete(*self.table.get_children())
        self._found.clear()
        mine = self._context.model.account
        for found in state.found if state.query == self.search.text.get().strip() else ():
            if mine is not None and found.uid == mine.uid:
                continue
            profile = dict(found.profile)
            about = words.one_line(", ".join(profile[name] for name in PLACE if profile.get(name)), 80)
            listed = self._context.model.row(found.uid).listed
            title = (found.name or found.handle) + ("  ✓ on your list" if listed else "")
            name = self.table.insert("", "end", text=title, values=(found.handle, about))
            self._found[name] = found
            if chosen is not None and chosen.uid == found.uid:
                self.table.selection_set(name)
        names = self.table.get_children()
        if names and not self.table.selection():
            self.table.selection_set(names[0])
            self.table.focus(names[0])
        self._said.configure(text=self._words(len(names)), style="Bad.TLabel" if state.error else "Quiet.TLabel")
        self._button()

    def _words(self, size: int) -> str:
        state = self._context.model.directory
        if not self.search.text.get().strip():
            return "Type to search the directory"
        if state.error:
            return state.error
        if state.busy:
            return "searching…"
        if not size:
            return "Nobody matches"
        return f"{size} found" if state.complete else f"the first {size}: type more to narrow it down"

    def _typed(self) -> None:
        if self._pending is not None:
            self.after_cancel(self._pending)
        self._pending = self.after(SEARCH_AFTER_MS, self._ask)

    def _ask(self) -> None:
        self._pending = None
        query = self.search.text.get().strip()
        if query:
            self._context.do(SearchDirectory(query))
        self.draw()

    def _chosen(self) -> Found | None:
        chosen = self.table.selection()
        return self._found.get(chosen[0]) if chosen else None

    def _button(self) -> None:
        found = self._chosen()
        good = found is not None and not self._context.model.row(found.uid).listed
        self.button.configure(state="normal" if good else "disabled")

    def _add(self) -> str:
        found = self._chosen()
        if found is not None and not self._context.model.row(found.uid).listed:
            self._context.do(AddContact(found.uid, found.handle, found.name))
            self.draw()
        return "break"

    def _to_table(self) -> str:
        self.table.focus_set()
        return "break"
