"""Free ports of this machine, for servers that are told where to listen. Rule: nobody else is given the same one for a while."""

import socket

_given: set[int] = set()


def free_ports(count: int, *, in_a_row: bool = False) -> list[int]:
    """`count` ports on which nothing listens; with `in_a_row`, consecutive ones."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = probe.getsockname()[1]
        wanted = list(range(first, first + count)) if in_a_row else [first]
        if first + count < 65_000 and not _given.intersection(wanted) and all(_is_free(port) for port in wanted):
            _given.update(wanted)
            return wanted if in_a_row or count == 1 else wanted + free_ports(count - 1)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
