"""Free ports of this machine, for servers that are told where to listen. Rule: no port is given twice within a short time.

They lie below those that the system gives to outgoing connections, and each process of a test run (`pytest -n`) has a range of its own:
what is free when we look is then still free when the server that was told of it listens.
"""

import os
import random
import socket
from itertools import count

FIRST = 10_000  # Linux takes outgoing connections from 32,768 on, which the last range does not reach
RANGE = 5_000  # ports of one process of the run; there are four ranges
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") or 0)
_first = FIRST + _worker % 4 * RANGE
_ahead = count(random.randrange(RANGE))


def free_ports(count: int, *, in_a_row: bool = False) -> list[int]:
    """`count` ports of the loopback interface on which nothing listens; with `in_a_row`, consecutive ones."""
    found: list[int] = []
    while len(found) < count:
        port = _first + next(_ahead) % RANGE
        if in_a_row and found and port != found[-1] + 1:
            found.clear()
        if _is_free(port):
            found.append(port)
        elif in_a_row:
            found.clear()
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
