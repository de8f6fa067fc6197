"""Whether the desktop is light or dark. Rule: asked once, before there is a window, because the answer may need to start a program."""

import darkdetect  # type: ignore[import-untyped]

from clients.tk.views.theme import Mode


def looks_of_the_desktop() -> Mode:
    """`dark` when the desktop says so, else `light`."""
    return "dark" if darkdetect.theme() == "Dark" else "light"
