"""Text that people sent, shown as it is, with links. Rule: only http, https and mailto addresses open, in the person's browser."""

import threading
import tkinter as tk
import webbrowser
from tkinter.font import Font

from clients.tk.views import words
from clients.tk.views.theme import Theme


class LinkedText(tk.Text):
    """A text that cannot be edited. `tall`: the number of lines to which it grows before it scrolls."""

    def __init__(self, master: tk.Misc, theme: Theme, *, tall: int | None = None, card: bool = False) -> None:
        super().__init__(
            master, wrap="word", font=theme.body, borderwidth=0, highlightthickness=0, padx=0, pady=0, width=1, height=1,
            cursor="arrow", takefocus=False, insertwidth=0, exportselection=True,
        )  # fmt: skip
        self._theme, self._tall, self._card = theme, tall, card
        self._links = 0
        self.bind("<<ThemeChanged>>", lambda event: self.colour())
        self.bind("<Key>", self._only_copying)
        self.bind("<<Paste>>", lambda event: "break")
        self.bind("<<PasteSelection>>", lambda event: "break")
        self.bind("<<Cut>>", lambda event: "break")
        if tall is not None:
            self.bind("<Configure>", lambda event: self.fit_height())
        self.colour()

    def colour(self) -> None:
        """Take the colours of the present mode."""
        colours = self._theme.palette
        behind = colours.card if self._card else colours.page
        self.configure(background=behind, foreground=colours.text, selectbackground=colours.accent, selectforeground=colours.on_accent)
        self.configure(inactiveselectbackground=colours.chosen)
        self.tag_configure("link", foreground=colours.link, underline=True)

    def say(self, text: str, *tags: str, at: str = "end") -> None:
        """Insert text, and make its links clickable."""
        before = 0
        for start, end, address in words.links(text):
            self.insert(at, text[before:start], tags)
            self._links += 1
            name = f"link-{self._links}"
            self.insert(at, text[start:end], (*tags, "link", name))
            self.tag_bind(name, "<Button-1>", lambda event, address=address: open_link(address))  # type: ignore[misc]
            self.tag_bind(name, "<Enter>", lambda event: self.configure(cursor="hand2"))
            self.tag_bind(name, "<Leave>", lambda event: self.configure(cursor="arrow"))
            before = end
        self.insert(at, text[before:], tags)

    def fit_height(self, room: int | None = None) -> bool:
        """Set the height to the lines of the text, up to `tall`; True if it has more. `room`: its width in pixels, until it is shown."""
        lines = self._lines() if room is None else wrapped(self.get("1.0", "end-1c"), self._theme.body, room, (self._tall or 0) + 1)
        height = max(1, min(lines, self._tall or lines))
        if int(self.cget("height")) != height:
            self.configure(height=height)
        return lines > height

    def _lines(self) -> int:
        shown = self.count("1.0", "end", "displaylines")
        return int(shown[0]) if shown else 1

    def _only_copying(self, event: "tk.Event[tk.Misc]") -> str | None:
        control = int(event.state) & 0x4
        moving = event.keysym in ("Up", "Down", "Left", "Right", "Prior", "Next", "Home", "End", "Tab", "ISO_Left_Tab", "Escape")
        return None if moving or (control and event.keysym.lower() in ("c", "a", "insert")) else "break"


def wrapped(text: str, font: Font, room: int, most: int) -> int:
    """How many lines a text takes in `room` pixels, counted up to `most`. Tk knows it only when the text is on the screen."""
    lines = 0
    space = font.measure(" ")
    for paragraph in text.split("\n"):
        lines, used = lines + 1, 0
        for word in paragraph.split(" "):
            if lines >= most:
                return most
            width = font.measure(word)
            if used and used + space + width > room:
                lines, used = lines + 1, 0
            lines += max(0, (width - 1) // room)  # a word that is longer than a line is broken
            used = used + (space if used else 0) + (width if width <= room else width % room)
    return min(lines, most)


def open_link(address: str) -> None:
    """Hand an address to the person's browser, in a thread because starting a browser may take long."""
    threading.Thread(target=webbrowser.open, args=(address,), name="open-link", daemon=True).start()
