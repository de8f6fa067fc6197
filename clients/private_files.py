"""Writing files that belong to one person. Rule: nobody else can read them, and a crash leaves the old file or the new one."""

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Replace a file (0600, in a folder 0700) in one step. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(fresh, path)
