"""Programs that are measured. Rule: one that does not come up says why, and each is ended with its `with`."""

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.waiting import wait_until

START_TIMEOUT_S = 30.0  # a loaded machine needs three
STOP_TIMEOUT_S = 20.0  # `flash` drains for five seconds at each of its servers


@contextlib.contextmanager
def running(name: str, command: Sequence[str], output: Path, environment: Mapping[str, str], is_up: Callable[[], bool]) -> Iterator[int]:
    """A program from when `is_up` says so, until it is ended; its pid. What it prints goes to `output`. Raises `RuntimeError` when it ends
    at once."""
    with output.open("ab") as file:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        wait_until(lambda: process.poll() is not None or is_up(), START_TIMEOUT_S, f"{name} starts")
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended: {output.read_text()[-2000:]}")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
