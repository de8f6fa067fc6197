"""The key with which the audit proves its checkpoints. Rule: it lies with the keys of personal data, apart from the store that it proves.

Who can read no key there, such as the role that is for audits alone, has none: then checkpoints are neither used nor made, and every state
is folded from its stream's first event.
"""

import contextlib
import os
import secrets
from pathlib import Path

SIZE = 32
FILE = "audit.key"


def own_key(directory: Path) -> bytes:
    """The key in `directory`, made when there is none; empty where it can be neither read nor made. Blocks."""
    file = directory / FILE
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            _make(file)
        key = file.read_bytes()
        return key if len(key) == SIZE else b""
    return b""


def _make(file: Path) -> None:
    """Whole or not at all; of several that make it at once the first one counts."""
    draft = file.with_name(f"{FILE}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(secrets.token_bytes(SIZE))
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)
