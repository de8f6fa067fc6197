"""How many connections the descriptors of this process leave room for. Rule: a server refuses connections before the system does.

A server that may open no more files can neither accept a connection nor answer that it is full, and its databases fail.
"""

import resource
from collections.abc import Callable

OWN_FILES = 200  # descriptors besides connections: databases, broker, log


def open_files() -> int:
    """How many files this process may have open; 0 without a limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if soft == resource.RLIM_INFINITY else soft


def that_fit(connections: int, files: Callable[[], int] = open_files) -> int:
    """So many connections, or as many as there are descriptors for."""
    limit = files()
    return min(connections, max(limit - OWN_FILES, 1)) if limit else connections
