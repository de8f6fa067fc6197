"""A person at a popup client: looks at the screen, types, clicks. Rule: every wait names what is waited for."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.tk.disk.grants import Grants
from flash_sdk import Grant
from tests.support.display import Display
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[4]
LOOK_S = 5.0  # a program that does not answer in this time has stopped


@dataclass(frozen=True, slots=True)
class Widget:
    """Something on the screen. Pixels of the screen; `window`: the path of its window."""

    path: str
    kind: str
    text: str
    x: int
    y: int
    width: int
    height: int
    focus: bool
    window: str
    disabled: bool


class Person:
    """One client process, and the person who sits before it."""

    def __init__(self, display: Display, folder: Path, server: str) -> None:
        """`folder`: this person's own settings and data."""
        self.display, self.server, self._folder = display, server, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._socket = folder / "glass"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    # --- the program ---

    def remembers(self, grant: Grant) -> None:
        """As if they had signed in before."""
        Grants(self._folder / "config" / "tk", use_keyring=False).keep(self.server, grant)

    async def starts(self, looks: str = "light", *options: str, **environment: str) -> None:
        """Start the client and wait for its window. `looks`: empty for those it had; `options`: `direct`; `environment`: besides the
        display's."""
        self._socket.unlink(missing_ok=True)
        environment |= self.display.environment | {
            "PYTHONPATH": str(ROOT), "FLASH_CONFIG_DIR": str(self._folder / "config"), "FLASH_DATA_DIR": str(self._folder / "data"),
        }  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for by polling, from several tests' loops
                [sys.executable, "-m", "tests.clients.tk.windows.glass", str(self._socket), self.server, "", looks, *options],
                env=environment, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        await eventually(self._is_there, 30)

    def kills(self) -> None:
        """The client dies at once, as in a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def leaves(self) -> int:
        """Close the client in order; its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None, 15)
        return process.returncode

    def said(self, event: str) -> list[dict[str, Any]]:
        """What the program logged under this name."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        records = [json.loads(line) for line in lines if line.startswith("{")]
        return [record for record in records if record.get("event") == event]

    def complaints(self) -> str:
        """Everything that was written which is no record: tracebacks."""
        return "\n".join(line for line in self._log.read_text(encoding="utf-8").splitlines() if not line.startswith("{"))

    # --- looking ---

    async def sees(self, text: str = "", *, kind: str = "", window: str = "", timeout_s: float = 15) -> Widget:
        """The first widget with this in its text (a pattern), of this class, in a window of this title (a pattern)."""
        found = await eventually(lambda: self.look(text, kind=kind, window=window), timeout_s)
        assert isinstance(found, list)
        return found[0]

    async def no_longer_sees(self, text: str = "", *, kind: str = "", window: str = "", timeout_s: float = 15) -> None:
        """Until there is none."""
        await eventually(lambda: not self.look(text, kind=kind, window=window), timeout_s)

    def look(self, text: str = "", *, kind: str = "", window: str = "") -> list[Widget]:
        """All of them, now."""
        widgets = self.glance()
        titles = {widget.path: widget.text for widget in widgets if widget.path == widget.window}
        return [
            widget
            for widget in widgets
            if (not kind or re.fullmatch(kind, widget.kind))
            and re.search(text, widget.text)
            and re.search(window, titles.get(widget.window, ""))
        ]

    def popups(self) -> list[str]:
        """What stands in each popup, by window."""
        widgets = [widget for widget in self.glance() if widget.kind in ("TLabel", "Text", "TButton")]
        windows: dict[str, str] = {}
        for widget in widgets:
            if "popupwindow" in widget.window:
                windows[widget.window] = f"{windows.get(widget.window, '')}\n{widget.text}"
        return list(windows.values())

    def glance(self) -> list[Widget]:
        """Every widget on the screen."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LOOK_S)
            connection.connect(str(self._socket))
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return [Widget(**widget) for widget in json.loads(answer)]

    # --- doing ---

    async def clicks(self, text: str = "", *, kind: str = "", window: str = "", times: int = 1) -> Widget:
        """Click in the middle of what is seen."""
        widget = await self.sees(text, kind=kind, window=window)
        while (again := await self.sees(text, kind=kind, window=window)) != widget:
            widget = again  # it still moves: what is above it has just changed
        self.display.click(widget.x + widget.width // 2, widget.y + widget.height // 2, times=times)
        return widget

    async def fills(self, widget: Widget, text: str) -> None:
        """Click into a field and type over what stands there."""
        now = next(seen for seen in self.glance() if seen.path == widget.path)
        self.display.click(now.x + now.width // 2, now.y + now.height // 2)
        await eventually(lambda: any(seen.focus for seen in self.glance() if seen.path == widget.path))
        self.display.key("ctrl+a")
        self.display.type(text)

    async def has_keyboard(self, window: str) -> None:
        """Until the window of this title (a pattern) has the keyboard, and knows it: X tells a moment before Tk does."""
        await eventually(lambda: re.search(window, self.display.focus()) and any(seen.focus for seen in self.look(window=window)))

    async def picture(self, path: Path | None) -> None:
        """Take a picture of the whole screen."""
        if path is not None:
            await asyncio.to_thread(self.display.picture, path)

    def _is_there(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the client ended: {self._log.read_text(encoding='utf-8')[-2000:]}"
        try:
            return bool(self.glance())
        except (FileNotFoundError, ConnectionRefusedError):  # not yet
            return False
