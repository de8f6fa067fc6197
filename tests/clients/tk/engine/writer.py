"""A client that writes one message after another until it is killed. Rule: an id is printed when, and only when, it is promised.

    python -m tests.clients.tk.writer FOLDER SERVER HANDLE UID

It signs in with what the folder remembers. Promised: the window says "waiting for connection" or more, so that a crash must not lose it.
"""

import sys
from itertools import count
from pathlib import Path

from clients.tk.model.values import SentState
from tests.clients.tk.engine.person import Person


def main(folder: str, server: str, handle: str, uid: str) -> None:
    """Never returns."""
    with Person(Path(folder), server, handle) as person:
        person.see(lambda: person.model.account)
        for n in count():
            id = person.writes(int(uid), f"number {n}")
            person.see(lambda id=id: person.state(id) > SentState.SAVING)  # type: ignore[misc]
            print(id, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
