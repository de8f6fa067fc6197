"""A field to write in, with its count. Rule: Ctrl+Enter sends, and the text is removed only after it was handed on."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from clients.tk.views import words
from clients.tk.views.theme import Theme


class Compose(ttk.Frame):
    """A text, its count, a switch for urgent, and Send. `sent(text, urgent)` takes the text."""

    def __init__(
        self, master: tk.Misc, theme: Theme, sent: Callable[[str, bool], None], *, lines: int = 3, card: bool = False, urgent: bool = True
    ) -> None:
        prefix = "Pop." if card else ""
        super().__init__(master, style=f"{prefix}TFrame")
        self._theme, self._sent = theme, sent
        self._urgent = tk.BooleanVar(self, value=False)
        self._edge = tk.Frame(self, borderwidth=0, padx=1, pady=1)
        self._edge.pack(fill="both", expand=True)
        self.text = tk.Text(
            self._edge, wrap="word", font=theme.body, height=lines, width=1, borderwidth=0, highlightthickness=0,
            padx=theme.px(8), pady=theme.px(6), undo=True, maxundo=500,
        )  # fmt: skip
        self.text.pack(fill="both", expand=True)
        below = ttk.Frame(self, style=f"{prefix}TFrame")
        below.pack(fill="x", pady=(theme.px(6), 0))
        self.button = ttk.Button(below, text="Send", style=f"{prefix}Accent.TButton", command=self._go)
        self.button.pack(side="right")
        if urgent:
            ttk.Checkbutton(below, text="Urgent", variable=self._urgent, underline=0, style=f"{prefix}TCheckbutton").pack(side="left")
        self._count = ttk.Label(below, style=f"{prefix}Quiet.TLabel")
        self._count.pack(side="right", padx=theme.px(10))
        for keys in ("<Control-Return>", "<Control-KP_Enter>"):
            self.text.bind(keys, lambda event: self._go())
        self.text.bind("<Alt-u>", lambda event: self._toggle_urgent() if urgent else None)
        self.text.bind("<<Modified>>", self._changed)
        self.text.bind("<Tab>", lambda event: self._leave(event.widget.tk_focusNext()))
        for keys in ("<Shift-Tab>", "<ISO_Left_Tab>"):
            self._bind_if_known(keys)
        for event in ("<FocusIn>", "<FocusOut>"):
            self.text.bind(event, lambda event: self._colour())
        self.bind("<<ThemeChanged>>", lambda event: self._colour())
        self._colour()
        self._changed()

    @property
    def written(self) -> str:
        """The text in the field."""
        return self.text.get("1.0", "end-1c")

    def _go(self) -> str:
        text, urgent = self.written, self._urgent.get()
        if words.count(text)[1]:
            self._sent(text, urgent)
            if not self.winfo_exists():  # a popup closes with its answer
                return "break"
            self.text.delete("1.0", "end")
            self.text.edit_reset()
            self._urgent.set(False)
            self._changed()
        return "break"

    def _toggle_urgent(self) -> str:
        self._urgent.set(not self._urgent.get())
        return "break"

    def _changed(self, event: object = None) -> None:
        self.text.edit_modified(False)
        said, good = words.count(self.written)
        warns = said.endswith(("left", "many"))
        self._count.configure(text=said if self.written else "Ctrl+Enter sends", foreground=self._theme.palette.warn if warns else "")
        self.button.configure(state="normal" if good else "disabled")

    def _leave(self, to: tk.Misc | None) -> str:
        if to is not None:
            to.focus_set()
        return "break"

    def _bind_if_known(self, keys: str) -> None:
        try:
            self.text.bind(keys, lambda event: self._leave(event.widget.tk_focusPrev()))
        except tk.TclError:
            return  # only X knows this name

    def _colour(self) -> None:
        colours = self._theme.palette
        focused = self.focus_displayof() is self.text
        self._edge.configure(background=colours.accent if focused else colours.line)
        self.text.configure(background=colours.field, foreground=colours.text, insertbackground=colours.text)
        self.text.configure(selectbackground=colours.accent, selectforeground=colours.on_accent)
