"""The menu of the main window. Rule: everything that it offers has a key, and the key stands beside it."""

import tkinter as tk
from tkinter import ttk

from clients.tk.model.inputs import SignOut
from clients.tk.views.context import Openings, ViewContext

KEYS = (
    ("Type", "search your contacts"),
    ("↑ ↓, Enter", "choose a contact, write to them"),
    ("Ctrl+Enter", "send what you wrote"),
    ("F8", "go to the newest popup; there: Alt+D Done, Alt+R Reply, Alt+L Later"),
    ("Ctrl+I", "inbox; there: Enter opens, D is Done"),
    ("Ctrl+N", "find people and add them"),
    ("F2", "alias, and whether to tell you when they come online"),
    ("Ctrl+Delete", "remove the chosen contact; Ctrl+Z brings them back"),
    ("Ctrl+S", "your status; Ctrl+E the note beside it"),
    ("Menu", "what can be done with the chosen contact"),
    ("Esc", "close a window, empty the search, put a popup off"),
    ("F10", "the menu"),
    ("Ctrl+Q", "quit"),
)


class MainMenu(ttk.Menubutton):
    """Offers adding, inbox, looks, keys, sign-out and quitting."""

    def __init__(self, master: tk.Misc, context: ViewContext, openings: Openings) -> None:
        super().__init__(master, text="☰", style="Toolbutton", direction="below", takefocus=True)
        menu = tk.Menu(self, tearoff=False)
        menu.add_command(label="Add a contact…", underline=0, accelerator="Ctrl+N", command=openings.add_contact)
        menu.add_command(label="Inbox", underline=0, accelerator="Ctrl+I", command=openings.inbox)
        menu.add_separator()
        looks = tk.Menu(menu, tearoff=False)
        self._look = tk.StringVar(self, value=context.remembered.theme)
        for name, said in (("system", "As the desktop"), ("light", "Light"), ("dark", "Dark")):
            looks.add_radiobutton(
                label=said, value=name, variable=self._look, underline=0, command=lambda name=name: openings.theme(name)  # type: ignore[misc]
            )  # fmt: skip
        menu.add_cascade(label="Looks", underline=0, menu=looks)
        menu.add_command(label="Keys", underline=0, accelerator="F1", command=openings.keys)
        menu.add_separator()
        menu.add_command(label="Sign out", underline=0, command=lambda: context.do(SignOut()))
        menu.add_command(label="Quit", underline=0, accelerator="Ctrl+Q", command=openings.quit)
        self.menu = menu
        self.configure(menu=menu)
