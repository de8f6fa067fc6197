"""Finds people in the directory and adds them. Rule: it searches while the person types, and adding does not close it."""

import tkinter as tk
from tkinter import ttk

from clients.tk.model.inputs import AddContact, SearchDirectory
from clients.tk.model.values import Found
from clients.tk.views import words
from clients.tk.views.context import ViewContext
from clients.tk.views.search_window import SearchWindow

USUAL, LEAST = (480, 420), (280, 240)
SEARCH_AFTER_MS = 250  # a pause in typing, because each search is a request
PLACE = ("organisation", "city", "state", "country")  # fields of a profile that tell two people of one name apart


class AddContactWindow(SearchWindow):
    """A field, the people that were found, and a button."""

    def __init__(self, master: tk.Misc, context: ViewContext) -> None:
        columns = (("#0", "Name", 160, True), ("handle", "Handle", 90, False), ("about", "Where", 160, True))
        hint = "Name, handle, city, organisation…"
        super().__init__(master, context, "add", "Add a contact - Flash", USUAL, LEAST, hint, SEARCH_AFTER_MS, columns)
        self.button = ttk.Button(self.bottom, text="Add", style="Accent.TButton", underline=0, command=self._add)
        self.button.pack(side="right")
        self._found: dict[str, Found] = {}
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
        for found in state.found if state.query == self.query else ():
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
        if not self.query:
            return "Type to search the directory"
        if state.error:
            return state.error
        if state.busy:
            return "searching…"
        if not size:
            return "Nobody matches"
        return f"{size} found" if state.complete else f"the first {size}: type more to narrow it down"

    def _ask(self) -> None:
        super()._ask()
        if self.query:
            self._context.do(SearchDirectory(self.query))
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
