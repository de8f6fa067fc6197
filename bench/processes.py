"""Programs that are measured. Rule: the output of a program that does not start is shown, and each program ends with its `with` block."""

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.waiting import wait_until

START_TIMEOUT_S = 120.0  # five thousand users on a machine that others load take half a minute
STOP_TIMEOUT_S = 20.0  # `flash` drains for five seconds at each of its servers


@contextlib.contextmanager
def running(name: str, command: Sequence[str], output: Path, environment: Mapping[str, str], is_up: Callable[[], bool]) -> Iterator[int]:
    """Start a program, wait until `is_up`, and yield its pid. What the program prints goes to `output`. Raises `RuntimeError` when it ends
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
