"""A virtual screen with a real window manager, a keyboard and a mouse. Rule: its display number is its own, and it ends its programs.

Xvfb chooses a free number itself; openbox (or the named program) manages the windows; xdotool types and clicks as a person does;
`import` takes pictures.
"""

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import wait_until

NEEDS = {
    "Xvfb": "xvfb",
    "openbox": "openbox",
    "icewm": "icewm",
    "xdotool": "xdotool",
    "import": "imagemagick",
    "xprop": "x11-utils",
}  # program: Debian package
SCREEN = "1280x800x24"
DOTS_AN_INCH = "96"  # what sizes are meant for
BACKGROUND = "#44586e"  # so that pictures show where windows end
START_S = 30.0
END_S = 5.0


def missing() -> str:
    """What to install before a display can be made; empty when everything is there."""
    packages = [package for program, package in NEEDS.items() if shutil.which(program) is None]
    return f"tests of windows need: apt-get install {' '.join(packages)}" if packages else ""


class Display:
    """A running X server and window manager. Raises `RuntimeError` when a program is missing."""

    def __init__(self, folder: Path, *manager: str) -> None:
        """`folder`: for the programs' own settings and complaints; `manager`: another window manager's command line."""
        if lacking := missing():
            raise RuntimeError(lacking)
        self._folder = folder
        self._manager = manager or ("openbox", "--sm-disable")
        self._running: list[subprocess.Popen[bytes]] = []
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        read, write = os.pipe()
        # Without -noreset it starts anew whenever its last client leaves, and drops a client that connects at that moment.
        server = ["Xvfb", "-displayfd", str(write), "-screen", "0", SCREEN, "-dpi", DOTS_AN_INCH, "-nolisten", "tcp", "-noreset"]
        self._run_on(server, write)
        os.close(write)
        with os.fdopen(read, encoding="ascii") as said:
            number = said.readline().strip()  # the whole line: Xvfb ends when it cannot write the last of it
        if not number:
            self.close()
            raise RuntimeError("Xvfb did not start")
        kept = {
            name: value for name, value in os.environ.items() if name not in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XAUTHORITY")
        }
        self.environment = kept | {"DISPLAY": f":{number}", "HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder / "config")}
        self.start(*self._manager)
        try:
            wait_until(lambda: "window id" in self.run("xprop", "-root", "_NET_SUPPORTING_WM_CHECK"), START_S, "the window manager")
        except AssertionError:
            self.close()
            raise
        self.run("display", "-window", "root", "-size", "64x64", f"xc:{BACKGROUND}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self, *command: str) -> None:
        """Start a program on this display; it ends with it."""
        self._run_on(list(command))

    def _run_on(self, command: list[str], *kept_open: int) -> None:
        quiet = subprocess.DEVNULL
        environment = self.environment or None
        self._running.append(subprocess.Popen(command, env=environment, pass_fds=kept_open, stdout=quiet, stderr=quiet))

    def run(self, *command: str) -> str:
        """Run a program to its end and give what it printed; empty when it failed."""
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=START_S, check=False
        )
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""

    def key(self, *keys: str) -> None:
        """Press keys, such as `ctrl+Return`: they go where the keyboard is."""
        self.run("xdotool", "key", "--clearmodifiers", *keys)

    def type(self, text: str, delay_ms: int = 4) -> None:
        """Type letters: they go where the keyboard is."""
        self.run("xdotool", "type", "--delay", str(delay_ms), text)

    def click(self, x: int, y: int, button: int = 1, times: int = 1) -> None:
        """Click somewhere on the screen (pixels)."""
        repeat = ("--repeat", str(times), "--delay", "40")
        self.run("xdotool", "mousemove", str(x), str(y), "click", *repeat, str(button))

    def focus(self) -> str:
        """The title of the window that has the keyboard."""
        return self.run("xdotool", "getwindowfocus", "getwindowname").strip()

    def activate(self, title: str) -> None:
        """Give a window the keyboard, as a person does with the window manager."""
        self.run("xdotool", "search", "--onlyvisible", "--name", f"^{title}$", "windowactivate", "--sync")

    def picture(self, path: Path, part: str = "") -> None:
        """What the screen shows, as PNG with few colours: small enough to be kept. `part`: such as `640x480+10+10`, else all of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.run(
            "import",
            "-window",
            "root",
            *(("-crop", part, "+repage") if part else ()),
            "-depth",
            "8",
            "+dither",
            "-colors",
            "255",
            "-define",
            "png:compression-level=9",
            f"png8:{path}",
        )

    def close(self) -> None:
        """End everything that was started here, the X server last."""
        while self._running:
            process = self._running.pop()
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
