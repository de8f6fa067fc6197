"""Who may try a password, and whose turn it is. Rule: a guesser is bounded, and locks out neither a person nor an office.

A handle that has signed in from an address in the last 30 days is familiar there: its tries count for that pair alone, so that guesses at
it from elsewhere, or at others from there, refuse it nothing. All other tries count for the pair, for the address and for the handle.
"""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from domain.errors import TooManyRequests, Unavailable
from runtime.background_task import BackgroundTask
from servers.global_server.config import GlobalConfig
from servers.security.addresses import site_of, subscriber_of
from servers.security.familiar import Familiar
from servers.security.passwords import Caller
from servers.security.rate_limit import RateLimit
from servers.store.event_store import Store
from servers.writing.projector import read_checkpoint, write_checkpoint

KEY_CHARS = 33  # of a handle that is counted: nobody's has more than 32, and longer ones must not fill the memory
SAVE_EVERY_S = 600.0  # after a crash, who signed in in the last ten minutes waits with the strangers once

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SignInLimits:
    """How often an address, or a handle, may have a password hashed."""

    registrations: RateLimit
    sign_ins: RateLimit
    failed_logins: RateLimit
    failed_guesses: RateLimit
    failed_anywhere: RateLimit

    @property
    def every(self) -> tuple[RateLimit, ...]:
        """All of them."""
        return (self.registrations, self.sign_ins, self.failed_logins, self.failed_guesses, self.failed_anywhere)

    @classmethod
    def of(cls, config: GlobalConfig, clock: Callable[[], float]) -> "SignInLimits":
        """The limits that were configured."""
        wrong, here = "Too many wrong passwords; wait a little.", "Too many wrong passwords from your network; wait a little."
        often = "You sign in too often; keep the token, and wait a little."
        return cls(
            RateLimit(config.registrations_per_s, config.registrations_burst, clock),
            RateLimit(config.sign_ins_per_s, config.sign_ins_burst, clock, often),
            RateLimit(config.failed_logins_per_s, config.failed_logins_burst, clock, wrong),
            RateLimit(config.failed_guesses_per_s, config.failed_guesses_burst, clock, here),
            RateLimit(config.failed_anywhere_per_s, config.failed_anywhere_burst, clock, wrong),
        )


@dataclass(slots=True, eq=False)
class Attempt:
    """One try of a password, which is counted in advance, so that simultaneous guesses count too."""

    caller: Caller
    guesses: list[tuple[RateLimit, Hashable]]  # what a wrong password costs
    hashes: list[tuple[RateLimit, Hashable]]  # what any password costs, because it is hashed

    def give_back(self, *, hashed: bool) -> None:
        """It was no wrong guess. `hashed`: whether the password was hashed all the same."""
        for limit, key in self.guesses if hashed else [*self.guesses, *self.hashes]:
            limit.give_back(key)


@dataclass(slots=True, eq=False)
class SignIn:
    """Counts tries of passwords, and knows who is familiar where; this lies in `file` between two runs."""

    limits: SignInLimits
    familiar: Familiar
    store: Store
    file: Path
    _changed: bool = field(default=False, init=False)
    _task: BackgroundTask = field(default_factory=lambda: BackgroundTask("sign-in"), init=False)

    async def start(self) -> None:
        """Read what is familiar. A file that cannot be read only makes everybody a stranger once."""
        key = await self.store.run_reader(self.store.keys.own)
        data = await self.store.run_reader(read_checkpoint, self.file, self.store.keys) or {}
        kept = data.get("places")
        self.familiar.use(key, kept.items() if isinstance(kept, dict) else ())
        self._task.start(self._save_now_and_then())

    async def stop(self) -> None:
        """Keep what is familiar for the next run."""
        if self._task.alive:
            await self._task.stop()
            await self._save()

    def registration(self, address: str) -> Caller:
        """Whose turn a new user's password has. Raises `TooManyRequests`."""
        site = site_of(address)
        self.limits.registrations.take(site)
        return Caller(site)

    def attempt(self, handle: str, address: str) -> Attempt:
        """Somebody is about to try a password. Raises `TooManyRequests`; then nothing is counted."""
        limits, network = self.limits, subscriber_of(address)
        familiar = self.familiar.knows(handle, network)
        handle = handle[:KEY_CHARS]
        pair = (handle, network)
        made = Attempt(Caller(network, familiar), [], [])
        wanted: list[tuple[list[tuple[RateLimit, Hashable]], RateLimit, Hashable]]
        wanted = [(made.guesses, limits.failed_logins, pair), (made.hashes, limits.sign_ins, pair)]
        if not familiar:
            wanted += [(made.guesses, limits.failed_guesses, network), (made.guesses, limits.failed_anywhere, handle)]
        for counted, limit, key in wanted:
            try:
                limit.take(key)
            except TooManyRequests:
                made.give_back(hashed=False)
                raise
            counted.append((limit, key))
        return made

    def signed_in(self, handle: str, address: str) -> None:
        """This handle has proven itself from there."""
        self._changed |= self.familiar.note(handle, subscriber_of(address))

    def forget(self, handle: str) -> None:
        """This handle's account is closed."""
        self.familiar.forget(handle)
        self._changed = True

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self._save()

    async def _save(self) -> None:
        if not self._changed:
            return
        self._changed = False
        try:
            await self.store.run_reader(write_checkpoint, self.file, {"places": self.familiar.everything()}, self.store.keys)
        except (OSError, Unavailable) as error:
            log.warning("sign_in.not_saved", error=type(error).__name__)
