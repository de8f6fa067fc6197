"""The places of windows and the chosen looks, kept between runs. Rule: Tk's thread never waits for the disk.

`<config>/windows.json`: `{"windows": {name: "WxH+X+Y"}, "theme": "light" | "dark" | "system"}`.
"""

import contextlib
import json
import queue
import re
import threading
from pathlib import Path
from typing import Any

from clients.private_files import write

GEOMETRY = re.compile(r"(\d{2,5})x(\d{2,5})\+(-?\d{1,5})\+(-?\d{1,5})")
AT_LEAST_VISIBLE_PX = 48  # enough of a title bar to take hold of, when a screen has become smaller
LAST_WRITE_S = 1.0  # closing must not feel slow
THEMES = ("system", "light", "dark")


class Remembered:
    """What was remembered, and a thread that writes the changes."""

    def __init__(self, path: Path) -> None:
        """`path`: the file. A file that cannot be read counts as empty."""
        self._path = path
        kept = _read(path)
        windows, theme = kept.get("windows"), kept.get("theme")
        self._windows = {str(name): where for name, where in windows.items() if isinstance(where, str)} if isinstance(windows, dict) else {}
        self.theme = theme if theme in THEMES else "system"
        self._changes: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="remembered", daemon=True)
        self._writer.start()

    def geometry(self, name: str, screen: tuple[int, int], usual: tuple[int, int]) -> str:
        """Where to put a window: at its last place, moved onto the `screen` (pixels) if necessary. Without one, only the `usual` size."""
        match = GEOMETRY.fullmatch(self._windows.get(name, ""))
        if match is None:
            return f"{usual[0]}x{usual[1]}"
        width, height, x, y = map(int, match.groups())
        width, height = min(width, screen[0]), min(height, screen[1])
        x = min(max(x, AT_LEAST_VISIBLE_PX - width), screen[0] - AT_LEAST_VISIBLE_PX)
        y = min(max(y, 0), screen[1] - AT_LEAST_VISIBLE_PX)
        return f"{width}x{height}+{x}+{y}"

    def place(self, name: str, geometry: str) -> None:
        """Remember the place of a window, in Tk's form."""
        if GEOMETRY.fullmatch(geometry) and self._windows.get(name) != geometry:
            self._windows[name] = geometry
            self._changes.put({"windows": {name: geometry}})

    def choose_theme(self, theme: str) -> None:
        """Remember `light`, `dark`, or `system` for the desktop's looks."""
        self.theme = theme
        self._changes.put({"theme": theme})

    def close(self) -> None:
        """Finish writing."""
        self._changes.put(None)
        self._writer.join(LAST_WRITE_S)

    def _write(self) -> None:
        """Merge each change into the present file, because other clients of this person write there as well."""
        while (change := self._changes.get()) is not None:
            kept = _read(self._path)
            windows = kept.get("windows")
            moved = change.pop("windows", {})
            kept = kept | change | {"windows": (windows if isinstance(windows, dict) else {}) | moved}
            with contextlib.suppress(OSError):  # a lost place of a window is worth no message
                write(self._path, json.dumps(kept, indent=1))


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
