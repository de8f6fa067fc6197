"""The list of keys (F1). Rule: it is read from the one table in the main menu's module."""

import tkinter as tk
from tkinter import ttk

from clients.tk.views.context import ViewContext
from clients.tk.views.main_menu import KEYS
from clients.tk.views.window import Window

USUAL, LEAST = (560, 420), (300, 200)


class KeysWindow(Window):
    """Two columns: keys, and what they do."""

    def __init__(self, master: tk.Misc, context: ViewContext) -> None:
        super().__init__(master, context, "keys", "Keys - Flash", USUAL, LEAST)
        px = context.theme.px
        page = ttk.Frame(self, padding=px(16))
        page.pack(fill="both", expand=True)
        page.columnconfigure(1, weight=1)
        for at, (key, what) in enumerate(KEYS):
            ttk.Label(page, text=key, style="Strong.TLabel").grid(row=at, column=0, sticky="nw", padx=(0, px(16)), pady=px(3))
            said = ttk.Label(page, text=what, justify="left")
            said.grid(row=at, column=1, sticky="ew", pady=px(3))
            said.bind("<Configure>", lambda event: event.widget.configure(wraplength=event.width))
