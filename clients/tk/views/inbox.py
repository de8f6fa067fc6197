"""The inbox: messages that wait for an answer, and a search through the history of this machine. Rule: Enter opens, D is Done."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from clients.tk.model.inputs import CloseMessage, SearchHistory
from clients.tk.model.values import Entry, MessageKey, Received, Sent
from clients.tk.views import words
from clients.tk.views.context import ViewContext
from clients.tk.views.search_window import SearchWindow

USUAL, LEAST = (640, 480), (300, 240)
SEARCH_AFTER_MS = 200  # a pause in typing, because each search reads the disk
ROWS_A_TURN = 100  # that many rows take a few milliseconds
NARROW = 420  # a narrower window has no room for the time


class InboxWindow(SearchWindow):
    """Shows waiting messages, oldest first. With words in the field, it shows the matching history, newest first."""

    def __init__(self, master: tk.Misc, context: ViewContext) -> None:
        columns = (("who", "From", 140, False), ("text", "Message", 200, True), ("when", "When", 110, False))
        hint = "Search everything said on this machine"
        super().__init__(master, context, "inbox", "Inbox - Flash", USUAL, LEAST, hint, SEARCH_AFTER_MS, columns)
        theme = context.theme
        self.search.bind("<Return>", lambda event: self._to_table())
        self.replay = ttk.Frame(self, padding=(theme.px(12), 0, theme.px(12), theme.px(8)))
        self._replay_words = ttk.Label(self.replay, style="Quiet.TLabel")
        self._replay_words.pack(anchor="w")
        self._bar = ttk.Progressbar(self.replay, mode="determinate")
        self._bar.pack(fill="x")
        self.open_button = ttk.Button(self.bottom, text="Open", style="Accent.TButton", underline=0, command=self._open_chosen)
        self.open_button.pack(side="right")
        self.done_button = ttk.Button(self.bottom, text="Done", underline=0, command=self._done_chosen)
        self.done_button.pack(side="right", padx=theme.px(8))
        for keys, action in (
            ("<Return>", self._open_chosen), ("<Double-Button-1>", self._open_chosen), ("<Key-d>", self._done_chosen),
            ("<Delete>", self._done_chosen),
        ):  # fmt: skip
            self.table.bind(keys, lambda event, action=action: self._by_key(action))  # type: ignore[misc]
        self.bind("<Alt-d>", lambda event: self._by_key(self._done_chosen))
        self.bind("<Alt-o>", lambda event: self._by_key(self._open_chosen))
        self.bind("<Control-f>", lambda event: self.search.focus_set())
        self.middle.bind("<Configure>", lambda event: self._tidy(event.width))
        self._shown: dict[str, Entry] = {}
        self._names: dict[MessageKey, str] = {}
        self._to_come: list[Entry] = []
        self._turn: str | None = None
        self.draw()

    def open(self) -> None:
        """Show the window, with the keyboard in the table."""
        super().open()
        self._to_table()

    # --- what is shown ---

    def draw(self) -> None:
        """Draw everything again, some rows in each turn."""
        model = self._context.model
        searching = bool(self.query)
        self._to_come = list(model.history.entries if searching else model.inbox)
        if not searching:
            self._only_changes()
        else:
            self.table.delete(*self.table.get_children())
            self._shown.clear()
            self._names.clear()
        self.draw_replay()
        self._some_more()

    def draw_replay(self) -> None:
        """Draw how far a backlog has come in."""
        replay = self._context.model.replay
        if replay is None:
            self.replay.pack_forget()
        else:
            self._replay_words.configure(text=f"Messages are coming in: {replay.got} of {replay.total}")
            self._bar.configure(maximum=max(1, replay.total), value=replay.got)
            self.replay.pack(side="top", fill="x", before=self.table.master)

    def _only_changes(self) -> None:
        """Keep the rows that stay, because a thousand rows must not be drawn again when one goes."""
        wanted = {entry.key for entry in self._to_come if isinstance(entry, Received)}
        gone = [name for name, entry in self._shown.items() if not isinstance(entry, Received) or entry.key not in wanted]
        if gone:
            at = self.table.index(gone[0])
            self.table.delete(*gone)
            for name in gone:
                entry = self._shown.pop(name)
                if isinstance(entry, Received):
                    self._names.pop(entry.key, None)
            left = self.table.get_children()
            if left and not self.table.selection():
                self._choose(left[min(at, len(left) - 1)])
        self._to_come = [entry for entry in self._to_come if not (isinstance(entry, Received) and entry.key in self._names)]

    def _some_more(self) -> None:
        now = self._context.now()
        for entry in self._to_come[:ROWS_A_TURN]:
            who = self._context.model.row(entry.to if isinstance(entry, Sent) else entry.uid).title
            said = f"to {who}" if isinstance(entry, Sent) else who
            text = ("Urgent: " if entry.urgent else "") + words.one_line(entry.text)
            name = self.table.insert("", "end", values=(said, text, words.clock(entry.at, now)))
            self._shown[name] = entry
            if isinstance(entry, Received):
                self._names[entry.key] = name
        del self._to_come[:ROWS_A_TURN]
        if self._to_come and self._turn is None:
            self._turn = self.after(1, self._next_turn)
        self._count()

    def _next_turn(self) -> None:
        self._turn = None
        self._some_more()

    def _count(self) -> None:
        size = len(self._shown) + len(self._to_come)
        if self.query:
            self._said.configure(text="searching…" if self._context.model.history.busy else f"{size} found")
        else:
            self._said.configure(text=f"{size} waiting" if size else "Nothing is waiting")
        if self._shown and not self.table.selection():
            self._choose(self.table.get_children()[0])

    # --- what the person does ---

    def _ask(self) -> None:
        super()._ask()
        self.table.delete(*self.table.get_children())
        self._shown.clear()
        self._names.clear()
        if self.query:
            self._context.do(SearchHistory(self.query))
        else:
            self.draw()

    def _chosen(self) -> Entry | None:
        chosen = self.table.selection()
        return self._shown.get(chosen[0]) if chosen else None

    def _choose(self, name: str) -> None:
        self.table.selection_set(name)
        self.table.focus(name)
        self.table.see(name)

    def _open_chosen(self) -> None:
        entry = self._chosen()
        if entry is not None:
            self._context.write_to(entry.to if isinstance(entry, Sent) else entry.uid)

    def _done_chosen(self) -> None:
        entry = self._chosen()
        if isinstance(entry, Received) and entry.open:
            self._context.do(CloseMessage(entry.key))

    def _by_key(self, action: Callable[[], None]) -> str:
        action()
        return "break"

    def _tidy(self, width: int) -> None:
        wide = width >= self._context.theme.px(NARROW)
        columns = ("who", "text", "when") if wide else ("who", "text")
        if tuple(self.table.cget("displaycolumns")) != columns:
            self.table.configure(displaycolumns=columns)
