"""Whether the desktop is light or dark. Rule: asked once, before there is a window: the answer may take a program's start."""

import darkdetect  # type: ignore[import-untyped]

from clients.tk.views.theme import Mode


def looks_of_the_desktop() -> Mode:
    """`dark` when the desktop says so; `light` otherwise, also when it says nothing."""
    return "dark" if darkdetect.theme() == "Dark" else "light"
