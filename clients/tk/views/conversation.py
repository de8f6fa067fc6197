"""The window of one person: presence, messages, a field to write in. Rule: looking at it marks it as read, having it open does not."""

import tkinter as tk
from tkinter import ttk

from clients.tk.model.inputs import AddContact, LoadOlder, MarkRead, Write
from clients.tk.model.model import new_id
from clients.tk.model.values import Entry, Sent
from clients.tk.views import words
from clients.tk.views.compose import Compose
from clients.tk.views.context import ViewContext
from clients.tk.views.transcript import Transcript
from clients.tk.views.window import Window

USUAL, LEAST = (520, 560), (280, 260)


class ConversationWindow(Window):
    """Shows the messages with `uid`, the newest at the bottom."""

    def __init__(self, master: tk.Misc, context: ViewContext, uid: int) -> None:
        row = context.model.row(uid)
        super().__init__(master, context, f"conversation-{uid}", f"{row.title} - Flash", USUAL, LEAST)
        self.uid = uid
        theme = context.theme
        head = ttk.Frame(self, padding=(theme.px(14), theme.px(10)))
        head.pack(side="top", fill="x")
        self._mark = ttk.Label(head)
        self._mark.pack(side="left", padx=(0, theme.px(8)))
        self._add = ttk.Button(head, text="Add to contacts", command=self._add_contact)
        lines = ttk.Frame(head)
        lines.pack(side="left", fill="x", expand=True)
        self._title = ttk.Label(lines, style="Strong.TLabel")
        self._title.pack(anchor="w")
        self._presence = ttk.Label(lines, style="Quiet.TLabel")
        self._presence.pack(anchor="w")
        ttk.Separator(self).pack(side="top", fill="x")
        self.compose = Compose(self, theme, self._send)
        self.compose.configure(padding=(theme.px(14), theme.px(8), theme.px(14), theme.px(12)))
        self.compose.pack(side="bottom", fill="x")
        self.transcript = Transcript(self, context, self._who, lambda: context.do(LoadOlder(uid)))
        self.transcript.pack(side="top", fill="both", expand=True)
        self.bind("<FocusIn>", lambda event: self.looked_at())
        self.bind("<<ThemeChanged>>", lambda event: self.draw_head(), add="+")
        self.draw_head()
        self.draw_all()

    def open(self) -> None:
        """Show the window, with the keyboard in the field."""
        super().open()
        self.compose.text.focus_set()

    def draw_head(self) -> None:
        """Draw name and presence."""
        row = self._context.model.row(self.uid)
        self.title(f"{row.title} - Flash")
        self._title.configure(text=row.title)
        self._mark.configure(image=self._context.theme.mark(row.status))
        self._presence.configure(text=f"{row.handle} · {words.presence(row, self._context.now())}")
        if row.listed:
            self._add.pack_forget()
        else:
            self._add.pack(side="right")

    def draw_all(self) -> None:
        """Draw the whole conversation again."""
        model = self._context.model
        self.transcript.show(model.conversation(self.uid), more=model.may_have_older(self.uid))

    def looked_at(self) -> None:
        """Mark the conversation as read if the person looks at this window."""
        if self.focus_displayof() is not None and self._context.model.row(self.uid).unread:
            self._context.do(MarkRead(self.uid))

    def _who(self, entry: Entry) -> str:
        return "You" if isinstance(entry, Sent) else self._context.model.row(entry.uid).title

    def _send(self, text: str, urgent: bool) -> None:
        self._context.do(Write(new_id(), self.uid, text, urgent))

    def _add_contact(self) -> None:
        row = self._context.model.row(self.uid)
        self._context.do(AddContact(self.uid, row.handle, row.name))
