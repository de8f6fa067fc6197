"""Which messages this client has already shown. Rule: bounded, and a reader of the file learns nothing about the messages."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

REMEMBERED = 4096  # a mailbox holds at most 1,000 unacknowledged messages: four mailboxes full of replays are recognised
_log = logging.getLogger("flash_sdk")
_KEY_BYTES = 16  # half a SHA-256: no two messages of a lifetime share a key


class SeenStore(Protocol):
    """Remembers the keys of messages that were shown. Each client (a window, a terminal) has a store of its own."""

    def __contains__(self, key: object) -> bool:
        """Whether this key was added before and is not forgotten yet."""

    def add(self, key: str) -> None:
        """Remember a key. After the return even a killed process leaves it remembered. Does not raise."""


def key_of(sender_uid: int, message_id: str) -> str:
    """The key of a message. Senders choose the ids, so an id is unique only together with the sender's uid."""
    return hashlib.sha256(f"{sender_uid}:{message_id}".encode("utf-8", "surrogatepass")).hexdigest()[: 2 * _KEY_BYTES]


class MemorySeen:
    """Remembers for as long as the process lives."""

    def __init__(self, remembered: int = REMEMBERED, keys: Iterable[str] = ()) -> None:
        self._remembered = remembered
        self._keys = dict.fromkeys(keys)  # a dict keeps the order of arrival: the oldest is forgotten first

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def add(self, key: str) -> None:
        """Remember a key, and forget the oldest key when there are too many."""
        self._keys[key] = None
        if len(self._keys) > self._remembered:
            del self._keys[next(iter(self._keys))]


class FileSeen:
    """Remembers in an append-only file (mode 0600), one fixed-length line per key, rewritten when it has grown to twice the bound.

    A line goes to the operating system in one write before `add` returns, so it outlives a killed process. Nothing is synced to the disk,
    because a popup that shows twice after a power cut harms less than a sync for each popup. A torn or foreign line is ignored.
    """

    def __init__(self, path: str | os.PathLike[str], remembered: int = REMEMBERED) -> None:
        """Open the file, or create it with its folder. Raises `OSError` when neither is possible."""
        self._path = Path(path)
        self._remembered = remembered
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = self._read()
        self._known = MemorySeen(remembered, lines[-remembered:])
        self._lines = len(lines)
        self._fd = self._open()
        if self._lines > 2 * remembered:
            self._rewrite()

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, key: str) -> None:
        """Remember a key. When the disk refuses, say so in the log and remember the key for as long as the process lives."""
        if key in self._known:
            return
        self._known.add(key)
        try:
            os.write(self._fd, b"\n" + key.encode())  # the line end comes first, so that a torn line never spoils the next key
            self._lines += 1
            if self._lines > 2 * self._remembered:
                self._rewrite()
        except OSError as error:
            _log.warning("seen.not_written errno=%s", error.errno)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _read(self) -> list[str]:
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return []
        return [line.decode() for line in raw.split(b"\n") if len(line) == 2 * _KEY_BYTES and line.isalnum() and line.isascii()]

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _rewrite(self) -> None:
        """Write a new file with the remembered keys only. It replaces the old file in one step, so a kill leaves one of the two."""
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write("".join(f"\n{key}" for key in self._known).encode())
        os.replace(fresh, self._path)
        os.close(self._fd)
        self._fd = self._open()
        self._lines = len(self._known)
