"""Passwords: argon2id, in the threads of `hashing.py`. Rule: a password is never stored, logged, or compared on the event loop.

An unknown handle takes as long as a wrong password, so that nobody learns from the time which handles exist.
"""

import secrets
import unicodedata
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import get_default_parameters

from domain.errors import Invalid
from servers.fairness.load import Load
from servers.security.hashing import Hashing, HashingConfig

MIN_CHARS, MAX_CHARS = 8, 256  # of the protocol; the upper bound keeps hashing a constant cost


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one guess. The defaults are OWASP's minimum for argon2id: about 25 ms, yet a hundred logins a second on four cores."""

    memory_kib: int = 19_456
    passes: int = 2
    lanes: int = 1


CHEAP = Cost(memory_kib=8, passes=1)  # for tests: the least that argon2 accepts, well under a millisecond


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose turn a hash is. `address`: what shares a turn; `familiar`: whether this handle has signed in from there lately."""

    address: str
    familiar: bool = False


SOMEBODY = Caller("")


class Passwords:
    """Hashes and verifies passwords."""

    def __init__(self, cost: Cost | None = None, config: HashingConfig | None = None, load: Load | None = None) -> None:
        chosen = cost or Cost()
        fixed = get_default_parameters()  # argon2id, 16 bytes of salt, 32 of hash: RFC 9106's recommendation
        self._hasher = PasswordHasher(chosen.passes, chosen.memory_kib, chosen.lanes, fixed.hash_len, fixed.salt_len)
        self._nobodys = self._hasher.hash(secrets.token_urlsafe())
        self.hashing = Hashing(config or HashingConfig(), load)

    async def hash(self, password: str, caller: Caller = SOMEBODY) -> str:
        """The argon2id string to store. Raises `Invalid` for a password that is too short or too long, `TooManyRequests` in a storm."""
        if not MIN_CHARS <= len(password) <= MAX_CHARS:
            raise Invalid("password", f"{MIN_CHARS} to {MAX_CHARS} characters")
        try:
            made: str = await self.hashing.run(caller.familiar, caller.address, self._hasher.hash, _prepared(password))
        except UnicodeError:
            raise Invalid("password", "text") from None
        return made

    async def verify(self, password: str, stored: str | None, caller: Caller = SOMEBODY) -> bool:
        """Whether `password` is the one behind `stored`; `None` (there is no such user) takes its time and is False.

        Raises `TooManyRequests` in a storm.
        """
        known, tried = stored or self._nobodys, password[: MAX_CHARS + 1]
        try:
            fits: bool = await self.hashing.run(caller.familiar, caller.address, self._verify, known, _prepared(tried))
        except UnicodeError:
            return False
        return fits and stored is not None and len(password) <= MAX_CHARS

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made at another cost than today's: then hash again while the password is at hand."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads. Blocks while a hash is being made."""
        self.hashing.close()

    def _verify(self, stored: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def _prepared(password: str) -> bytes:
    """The same bytes for the same password on every keyboard: accents typed as one sign or as two. Raises `UnicodeError`."""
    return unicodedata.normalize("NFC", password).encode()
