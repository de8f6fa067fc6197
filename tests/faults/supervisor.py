"""What a service manager does: a process that ends is started again, with its process id in a file. Rule: why it ended is not asked."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.installation import Server

END_S = 30.0  # SIGTERM drains for 5 s at most, several times


@contextlib.contextmanager
def supervised(servers: Sequence[Server], directory: Path) -> Iterator[None]:
    """Keep `servers` running, their numbers in `directory/<name>.pid`."""
    over = threading.Event()

    def keep(server: Server) -> None:
        while not over.is_set():
            server.spawn()
            (directory / f"{server.name}.pid").write_text(str(server.pid))
            while server.running and not over.wait(0.05):
                pass

    threads = [threading.Thread(target=keep, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(END_S)
