"""The contact window: my status, a search, my contacts, removals to undo, the connection line. Rule: everything in it has a key."""

import tkinter as tk
from tkinter import ttk

from clients.tk.model.inputs import ChangeContact, FilterContacts, RemoveContact, SetStatus, UndoRemoval
from clients.tk.views import words
from clients.tk.views.connection_line import ConnectionLine
from clients.tk.views.contact_rows import ContactRows
from clients.tk.views.context import Openings, ViewContext
from clients.tk.views.hinted_entry import HintedEntry
from clients.tk.views.main_menu import MainMenu
from clients.tk.views.status_menu import StatusMenu

NARROW = 300  # at 96 dots an inch
SAID_MS = 6000  # how long a sentence stays that nobody has to answer


class ContactView(ttk.Frame):
    """Fills the main window while somebody is signed in."""

    def __init__(self, master: tk.Misc, context: ViewContext, openings: Openings) -> None:
        super().__init__(master)
        self._context, self._openings = context, openings
        theme = context.theme
        px = theme.px
        head = ttk.Frame(self, padding=(px(12), px(10), px(8), px(4)))
        head.pack(side="top", fill="x")
        self._main = MainMenu(head, context, openings)
        self._main.pack(side="right")
        self._inbox = ttk.Button(head, style="Toolbutton", command=openings.inbox)
        self._inbox.pack(side="right")
        self._me = ttk.Label(head, style="Strong.TLabel", padding=(px(4), 0))
        self._me.pack(side="left")
        self.status = StatusMenu(head, context, self.edit_note)
        self.status.pack(side="left", padx=(px(2), 0))
        self._note_row = ttk.Frame(self, padding=(px(12), 0, px(12), px(4)))
        self.note = HintedEntry(self._note_row, theme, "A note beside your name; Enter saves")
        self.note.pack(fill="x")
        self.note.bind("<Return>", lambda event: self._save_note())
        self.note.bind("<Escape>", lambda event: self._hide_note())
        search = ttk.Frame(self, padding=(px(12), px(4), px(12), px(6)))
        search.pack(side="top", fill="x")
        self._add = ttk.Button(search, text="Add…", command=openings.add_contact)
        self._add.pack(side="right", padx=(px(8), 0))
        self.search = HintedEntry(search, theme, "Search contacts")
        self.search.pack(side="left", fill="x", expand=True)
        self.search.text.trace_add("write", lambda *why: context.do(FilterContacts(self.search.text.get())))
        self.line = ConnectionLine(self, context)
        self.line.pack(side="bottom", fill="x")
        ttk.Separator(self).pack(side="bottom", fill="x")
        self._undo = ttk.Frame(self, padding=(px(12), px(6)))
        self._undo_words = ttk.Label(self._undo)
        self._undo_words.pack(side="left", fill="x", expand=True)
        self.undo_button = ttk.Button(self._undo, text="Undo", command=self.undo, underline=0)
        self.undo_button.pack(side="right")
        self._replay = ttk.Frame(self, padding=(px(12), px(6)))
        self._replay_words = ttk.Label(self._replay, style="Quiet.TLabel")
        self._replay_words.pack(anchor="w")
        self._bar = ttk.Progressbar(self._replay, mode="determinate")
        self._bar.pack(fill="x", pady=(px(4), 0))
        self._say = ttk.Label(self, padding=(px(12), px(6)), style="Bad.TLabel")
        self._saying: str | None = None
        self.rows = ContactRows(self, context, self._menu)
        self.rows.pack(side="top", fill="both", expand=True)
        self.bind("<Configure>", lambda event: self._tidy(event.width) if event.widget is self else None)
        self._keys()
        self.draw()

    # --- what is shown ---

    def draw(self) -> None:
        """Draw everything."""
        account = self._context.model.account
        self._me.configure(text=account.handle if account is not None else "")
        self.draw_contacts()
        self.draw_inbox()
        self.draw_removals()
        self.draw_replay()
        self.status.draw()
        self.line.draw()

    def draw_contacts(self) -> None:
        """Draw the rows again, because rows came, went or moved."""
        model = self._context.model
        nobody = (
            f"Nobody matches “{words.one_line(model.filter, 40)}”." if model.filter else "Nobody is on your list yet. Add… finds people."
        )
        self.rows.show(model.groups(), nobody)

    def draw_contact(self, uid: int) -> None:
        """Draw one row."""
        self.rows.update_row(self._context.model.row(uid))

    def draw_inbox(self) -> None:
        """Draw how many messages wait."""
        waiting = len(self._context.model.inbox)
        self._inbox.configure(text=f"Inbox ({waiting})" if waiting else "Inbox", underline=0)

    def draw_removals(self) -> None:
        """Draw the removal that can be undone."""
        removals = self._context.model.removals
        if removals:
            self._undo_words.configure(text=f"{removals[-1].row.title} was removed")
            self._undo.pack(side="bottom", fill="x", before=self.rows)
        else:
            self._undo.pack_forget()

    def draw_replay(self) -> None:
        """Draw how far a backlog has come in."""
        replay = self._context.model.replay
        if replay is None:
            self._replay.pack_forget()
        else:
            self._replay_words.configure(text=f"Messages are coming in: {replay.got} of {replay.total}")
            self._bar.configure(maximum=max(1, replay.total), value=replay.got)
            if not self._replay.winfo_ismapped():
                self._replay.pack(side="bottom", fill="x", before=self.rows)

    def say(self, what: str) -> None:
        """Show one sentence for a while."""
        self._say.configure(text=what, wraplength=max(self._context.theme.px(120), self.winfo_width() - self._context.theme.px(24)))
        self._say.pack(side="bottom", fill="x", before=self.rows)
        if self._saying is not None:
            self.after_cancel(self._saying)
        self._saying = self.after(SAID_MS, self._said)

    def _said(self) -> None:
        self._saying = None
        self._say.pack_forget()

    # --- what the person does ---

    def take_keyboard(self) -> None:
        """Give the keyboard to the search: typing searches, and the arrows choose."""
        self.search.focus_set()

    def edit_note(self) -> None:
        """Open the field for the note."""
        self.note.text.set(self._context.model.status.note)
        self._note_row.pack(side="top", fill="x", after=self.status.master)
        self.note.focus_set()
        self.note.selection_range(0, "end")

    def undo(self) -> None:
        """Bring back the contact who was removed last."""
        removals = self._context.model.removals
        if removals:
            self._context.do(UndoRemoval(removals[-1].row.uid))

    def _save_note(self) -> str:
        status = self._context.model.status
        self._context.do(SetStatus(status.status, self.note.text.get().strip(), status.until))
        return self._hide_note()

    def _hide_note(self) -> str:
        self._note_row.pack_forget()
        self.take_keyboard()
        return "break"

    def _menu(self, uid: int, x: int, y: int) -> None:
        row = self._context.model.row(uid)
        menu = tk.Menu(self, tearoff=False)
        menu.add_command(label="Write", underline=0, command=lambda: self._context.write_to(uid))
        menu.add_command(label="Alias and notification…", underline=0, command=lambda: self._openings.card(uid))
        said = "Do not tell me when they come online" if row.notify else "Tell me when they come online"
        menu.add_command(label=said, underline=0, command=lambda: self._context.do(ChangeContact(uid, row.alias, not row.notify)))
        menu.add_separator()
        menu.add_command(label="Remove", underline=0, command=lambda: self._context.do(RemoveContact(uid)))
        menu.bind("<Unmap>", lambda event: self.after_idle(menu.destroy))
        menu.tk_popup(x, y)

    def _remove(self) -> str:
        row = self.rows.chosen_row()
        if row is not None and row.listed:
            self._context.do(RemoveContact(row.uid))
        return "break"

    def _card(self) -> None:
        row = self.rows.chosen_row()
        if row is not None and row.listed:
            self._openings.card(row.uid)

    def _keys(self) -> None:
        rows, search = self.rows, self.search
        for key, by in (("<Down>", 1), ("<Up>", -1), ("<Next>", 8), ("<Prior>", -8)):
            search.bind(key, lambda event, by=by: rows.step(by))  # type: ignore[misc]
        for key in ("<Return>", "<KP_Enter>"):
            search.bind(key, lambda event: rows.open_chosen())
        search.bind("<Escape>", lambda event: search.text.set(""))
        for key in ("<Menu>", "<Shift-F10>"):
            search.bind(key, lambda event: rows.menu_of_chosen())
        rows.canvas.bind("<Delete>", lambda event: self._remove())
        rows.canvas.bind("<Key>", self._type_ahead)
        top = self.winfo_toplevel()
        for key, action in (
            ("<Control-n>", self._openings.add_contact),
            ("<Control-i>", self._openings.inbox),
            ("<Control-z>", self.undo),
            ("<Control-Delete>", self._remove),
            ("<Control-f>", self.take_keyboard),
            ("<Control-s>", lambda: self._drop_down(self.status)),
            ("<Control-e>", self.edit_note),
            ("<F1>", self._openings.keys),
            ("<F2>", self._card),
            ("<F8>", self._openings.newest_popup),
            ("<F10>", lambda: self._drop_down(self._main)),
            ("<Control-q>", self._openings.quit),
        ):
            top.bind(key, lambda event, action=action: action() if self.winfo_ismapped() else None)  # type: ignore[misc]

    def _tidy(self, width: int) -> None:
        """Hide my own name in a narrow window, because my status matters more."""
        if width < self._context.theme.px(NARROW):
            self._me.pack_forget()
        elif not self._me.winfo_manager():
            self._me.pack(side="left", before=self.status)

    def _drop_down(self, button: ttk.Menubutton) -> None:
        self.tk.call("ttk::menubutton::Popdown", str(button))

    def _type_ahead(self, event: "tk.Event[tk.Misc]") -> None:
        if event.char.isprintable() and event.char and not int(event.state) & 0x4:
            self.search.focus_set()
            self.search.insert("end", event.char)
