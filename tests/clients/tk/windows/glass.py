"""A looking glass into a running client: which widgets are where, and what they show. Rule: it only looks; hands are xdotool's.

`python -m tests.clients.tk.windows.glass SOCKET [options of flash tk]` runs the real program and answers each connection with its widgets.
"""

import json
import os
import socket
import sys
import tkinter as tk
from typing import Any

from clients.tk.program import Options, run


def attach(root: tk.Tk, path: str) -> None:
    """Answer on this socket, from Tk's thread."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def answer(*why: object) -> None:
        connection, _ = listener.accept()
        root.update_idletasks()  # widgets are then where they will be
        with connection:
            connection.sendall(json.dumps(look(root)).encode())

    root.tk.createfilehandler(listener, tk.READABLE, answer)


def look(root: tk.Tk) -> list[dict[str, Any]]:
    """Every widget that is on the screen: path, class, what it says, where (pixels of the screen), and whether it has the keyboard."""
    focus = root.focus_displayof()
    found: list[dict[str, Any]] = []
    waiting: list[tk.Misc] = [root]
    while waiting:
        widget = waiting.pop()
        waiting.extend(widget.winfo_children())
        if not widget.winfo_viewable():
            continue
        found.append(
            {
                "path": str(widget), "kind": widget.winfo_class(), "text": said(widget),
                "x": widget.winfo_rootx(), "y": widget.winfo_rooty(),
                "width": widget.winfo_width(), "height": widget.winfo_height(), "focus": widget is focus,
                "window": str(widget.winfo_toplevel()), "disabled": disabled(widget),
            }
        )  # fmt: skip
    return found


def disabled(widget: Any) -> bool:
    """Whether it cannot be used now."""
    try:
        return "disabled" in str(widget.cget("state"))
    except tk.TclError:
        return False


def said(widget: Any) -> str:
    """What a widget shows."""
    match widget.winfo_class():
        case "Tk" | "Flash" | "Toplevel":
            return str(widget.title())
        case "TEntry":
            return "" if widget.cget("show") else str(widget.get())
        case "Text":
            return str(widget.get("1.0", "end-1c"))
        case "Canvas":
            return "\n".join(str(widget.itemcget(item, "text")) for item in widget.find_all() if widget.type(item) == "text")
        case "Treeview":
            rows = widget.get_children()
            return "\n".join(" | ".join(map(str, (widget.item(row, "text"), *widget.item(row, "values")))) for row in rows)
        case "Menu":
            last = widget.index("end")
            kinds = [] if last is None else [at for at in range(last + 1) if widget.type(at) != "separator"]
            return "\n".join(str(widget.entrycget(at, "label")) for at in kinds)
        case "TProgressbar":
            return f"{widget.cget('value')} of {widget.cget('maximum')}"
    try:
        return str(widget.cget("text"))
    except tk.TclError:
        return ""


if __name__ == "__main__":
    where, server, handle, looks = sys.argv[1:5]
    run(
        Options(server or None, handle or None, looks or None, verbose=True, use_keyring=False, direct="direct" in sys.argv[5:]),
        lambda root: attach(root, where),
    )
    os.unlink(where)
