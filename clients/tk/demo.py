"""Opens a popup client for a user who is signed in already, as `flash serve --demo` does. Rule: it never makes the demo fail.

Each person has a folder of their own for settings and data, because ann's client and bob's on one desktop must not share them.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from clients.tk.disk.grants import Grants
from clients.tk.disk.paths import Paths
from flash_sdk import Grant


def can_open_windows() -> bool:
    """Whether there is a Tk, and a display for windows."""
    display = sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY"))
    return display and importlib.util.find_spec("_tkinter") is not None


def open_client(server: str, grant: Grant, folder: Path) -> subprocess.Popen[bytes]:
    """Start a client that acts for `grant`, its files below `folder`. The caller ends it (`terminate`: it logs off). Raises `OSError`."""
    mine = folder / grant.handle
    settings = {"FLASH_CONFIG_DIR": str(mine / "config"), "FLASH_DATA_DIR": str(mine / "data")}
    Grants(Paths(mine / "config" / "tk", mine / "data" / "tk").config, use_keyring=False).keep(server, grant)
    command = [sys.executable, "-m", "clients.tk", "--no-keyring", "--server", server, "--as", grant.handle]
    return subprocess.Popen(command, env=os.environ | settings, stdin=subprocess.DEVNULL)  # noqa: S603 - our own program and arguments
