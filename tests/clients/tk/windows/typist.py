"""A window somebody works in: every letter that reaches it is printed. Rule: what is not printed was lost to another window."""

import tkinter as tk

TITLE = "Somebody's work"


def main() -> None:
    """Open it and print letters until it is ended."""
    root = tk.Tk(className="Typist")
    root.title(TITLE)
    root.geometry("420x120+60+620")
    field = tk.Entry(root, width=60)
    field.pack(padx=10, pady=10)
    field.focus_set()
    root.bind("<Key>", lambda event: print(event.char, end="", flush=True) if event.char else None)
    root.mainloop()


if __name__ == "__main__":
    main()
