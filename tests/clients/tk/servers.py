"""Real servers for the popup client's tests: `flash serve` in a process of its own. Rule: its data outlives it, so it can be killed.

with RunningServer(folder) as server: … server.kill(); server.start(); …
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.support.ports import free_ports

ROOT = Path(__file__).parents[3]
READY = b"Flash serves at"
STOP_S = 20


class RunningServer:
    """A Global Server and two homes, on ports of their own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """`settings`: `FLASH_*` variables for it."""
        self._folder = folder
        self._port = free_ports(3, in_a_row=True)[0]
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGINT)  # Ctrl-C

    @property
    def url(self) -> str:
        """Of the Global Server."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Return when it takes requests."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLASH_")}
        command = [sys.executable, "-m", "flash", "serve", "--port", str(self._port), "--data", str(self._folder)]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment | {"PYTHONPATH": str(ROOT)} | self._settings,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert READY in line, line

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.communicate(timeout=STOP_S)
            self._process = None
