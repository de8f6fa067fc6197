"""Passwords: argon2id, in threads of their own. Rule: a password is never stored, logged, or compared on the event loop.

An unknown handle takes as long as a wrong password, so that nobody learns from the time which handles exist.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import get_default_parameters

from domain.errors import Invalid, Unavailable

MIN_CHARS, MAX_CHARS = 8, 256  # of the protocol; the upper bound keeps hashing a constant cost
WORKERS = 2  # so many hashes at once: with 19 MiB each, a storm of logins takes 38 MiB and leaves the event loop its share of the processor
MAX_WAITING = 1_000  # about twenty seconds of work for two workers; later callers are told at once to try again

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one guess. The defaults are OWASP's minimum for argon2id: about 25 ms, yet a hundred logins a second on four cores."""

    memory_kib: int = 19_456
    passes: int = 2
    lanes: int = 1


CHEAP = Cost(memory_kib=8, passes=1)  # for tests: the least that argon2 accepts, well under a millisecond


class Passwords:
    """Hashes and verifies passwords."""

    def __init__(self, cost: Cost | None = None, workers: int = WORKERS, max_waiting: int = MAX_WAITING) -> None:
        chosen = cost or Cost()
        fixed = get_default_parameters()  # argon2id, 16 bytes of salt, 32 of hash: RFC 9106's recommendation
        self._hasher = PasswordHasher(chosen.passes, chosen.memory_kib, chosen.lanes, fixed.hash_len, fixed.salt_len)
        self._nobodys = self._hasher.hash(secrets.token_urlsafe())
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="passwords")
        self._max_waiting = max_waiting
        self.waiting = 0

    async def hash(self, password: str) -> str:
        """The argon2id string to store. Raises `Invalid` for a password that is too short or too long, `Unavailable` in a storm."""
        if not MIN_CHARS <= len(password) <= MAX_CHARS:
            raise Invalid("password", f"{MIN_CHARS} to {MAX_CHARS} characters")
        try:
            return await self._run(self._hasher.hash, _prepared(password))
        except UnicodeError:
            raise Invalid("password", "text") from None

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether `password` is the one behind `stored`; `None` (there is no such user) takes its time and is False.

        Raises `Unavailable` in a storm.
        """
        try:
            fits = await self._run(self._verify, stored or self._nobodys, _prepared(password[: MAX_CHARS + 1]))
        except UnicodeError:
            return False
        return fits and stored is not None and len(password) <= MAX_CHARS

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made at another cost than today's: then hash again while the password is at hand."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        if self.waiting >= self._max_waiting:
            raise Unavailable("Too many people are logging in at once; try again in a moment.")
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        finally:
            self.waiting -= 1

    def _verify(self, stored: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def _prepared(password: str) -> bytes:
    """The same bytes for the same password on every keyboard: accents typed as one sign or as two. Raises `UnicodeError`."""
    return unicodedata.normalize("NFC", password).encode()
