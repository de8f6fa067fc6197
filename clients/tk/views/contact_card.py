"""The settings for one contact: my own name for them, and whether I am told when they come online. Rule: Enter saves, Escape does not."""

import tkinter as tk
from tkinter import ttk

from clients.tk.model.inputs import ChangeContact
from clients.tk.views.context import ViewContext
from clients.tk.views.hinted_entry import HintedEntry
from clients.tk.views.window import Window

USUAL, LEAST = (380, 210), (280, 190)


class ContactCard(Window):
    """Alias and the switch "tell me when they come online"."""

    def __init__(self, master: tk.Misc, context: ViewContext, uid: int) -> None:
        row = context.model.row(uid)
        super().__init__(master, context, "card", f"{row.title} - Flash", USUAL, LEAST)
        self.uid = uid
        px = context.theme.px
        page = ttk.Frame(self, padding=px(16))
        page.pack(fill="both", expand=True)
        ttk.Label(page, text=row.name or row.handle, style="Strong.TLabel").pack(anchor="w")
        ttk.Label(page, text=row.handle, style="Quiet.TLabel").pack(anchor="w")
        self.alias = HintedEntry(page, context.theme, "What you call them")
        self.alias.text.set(row.alias or "")
        self.alias.pack(fill="x", pady=(px(10), px(8)))
        self._notify = tk.BooleanVar(self, value=row.notify)
        self.notify = ttk.Checkbutton(page, text="Tell me when they come online", variable=self._notify, underline=0)
        self.notify.pack(anchor="w")
        buttons = ttk.Frame(page)
        buttons.pack(side="bottom", fill="x")
        self.save = ttk.Button(buttons, text="Save", style="Accent.TButton", command=self._go)
        self.save.pack(side="right")
        ttk.Button(buttons, text="Cancel", command=self.close).pack(side="right", padx=px(8))
        self.bind("<Return>", lambda event: self._go())
        self.bind("<Alt-t>", lambda event: self._notify.set(not self._notify.get()))

    def open(self) -> None:
        """Show the window, with the keyboard in the field."""
        super().open()
        self.alias.focus_set()
        self.alias.selection_range(0, "end")

    def _go(self) -> None:
        self._context.do(ChangeContact(self.uid, self.alias.text.get().strip() or None, self._notify.get()))
        self.close()
