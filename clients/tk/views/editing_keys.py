"""Keys that people know from other programs, but that have other meanings in Tk on X. Rule: set once, for all fields."""

import tkinter as tk
from typing import Any


def teach(root: tk.Tk) -> None:
    """Let Ctrl+A select everything, and Ctrl+Backspace delete a word."""
    for keys, in_entry, in_text in (("<Control-a>", _all_of_entry, _all_of_text), ("<Control-BackSpace>", _word_of_entry, _word_of_text)):
        root.bind_class("TEntry", keys, in_entry)
        root.bind_class("Text", keys, in_text)


def _all_of_entry(event: Any) -> str:
    event.widget.selection_range(0, "end")
    event.widget.icursor("end")
    return "break"


def _all_of_text(event: Any) -> str:
    event.widget.tag_add("sel", "1.0", "end-1c")
    return "break"


def _word_of_entry(event: Any) -> str:
    field = event.widget
    before = field.get()[: field.index("insert")]
    field.delete(len(before.rstrip().rpartition(" ")[0]), "insert")
    return "break"


def _word_of_text(event: Any) -> str:
    event.widget.delete("insert -1c wordstart", "insert")
    return "break"
