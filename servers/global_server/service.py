"""The Global Server without HTTP: registration, tokens, the directory. Rule: only `servers/security/passwords.py` sees a password."""

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from msgspec import UNSET

from domain.errors import BadCredentials, Forbidden, HandleTaken, Invalid, TooManyRequests, UidTaken, Unavailable, UnknownUser
from domain.event import Event
from domain.profile import clean_handle, clean_profile, display_name
from domain.registry.commands import ChangeCredential, ChangeProfile, ClaimHandle, CloseAccount, LookUpAccount, RegisterAccount
from projections.directory.directory import Directory, Listed
from runtime.scheduler import Jobs, Scheduler
from runtime.times import rfc3339
from servers.fairness.load import Load
from servers.global_server import views
from servers.global_server.config import GlobalConfig
from servers.global_server.current_directory import CurrentDirectory
from servers.global_server.heavy_use import HeavyUse
from servers.global_server.home_choice import HomeChoice
from servers.global_server.lifecycle import Lifecycle
from servers.global_server.presence_view import PresenceView
from servers.global_server.searches import Searches
from servers.global_server.sign_in import SignIn
from servers.global_server.subscribers import Subscriber
from servers.global_server.uid_blocks import UidBlocks
from servers.security.identity import INTEGRATOR, OPS, Identity
from servers.security.passwords import Caller, Passwords
from servers.security.rate_limit import RateLimit
from servers.security.signer import Signer
from servers.security.tokens import CONSOLE, GLOBAL, HOME, OF_OLD_CLIENTS, KeyVerifier
from servers.sessions.parts import Outlet
from servers.store.log.event_log import Conflicted
from servers.writing.writer import Writer

REGISTRATIONS = "@registrations"  # their lane in the writer: whoever registers has no number yet; no server has such a name
UID_TRIES = 20  # a try is lost when another Global Server registers a user in the same moment; both then go on, so few are needed

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """How often a user may ask."""

    lookups: RateLimit
    profile_changes: RateLimit

    @classmethod
    def of(cls, config: GlobalConfig, clock: Callable[[], float]) -> "Limits":
        """The limits that were configured."""
        often = "You change your profile too often; wait a little."
        return cls(
            RateLimit(config.lookups_per_s, config.lookups_burst, clock, "Too many searches at once; wait a little."),
            RateLimit(config.profile_changes_per_s, config.profile_changes_burst, clock, often),
        )


@dataclass(slots=True, kw_only=True, eq=False)
class GlobalServer:
    """The one registry. Every method may raise `Unavailable`; then nothing has changed."""

    config: GlobalConfig
    lifecycle: Lifecycle
    directory: Directory
    current: CurrentDirectory
    homes: HomeChoice
    presence_view: PresenceView
    writer: Writer
    uids: UidBlocks
    passwords: Passwords
    searches: Searches
    sign_in: SignIn
    signer: Signer
    verifier: KeyVerifier
    console_verifier: KeyVerifier
    limits: Limits
    clock: Callable[[], float]
    new_id: Callable[[], str]
    scheduler: Scheduler
    jobs: Jobs
    load: Load
    heavy: HeavyUse

    async def start(self) -> None:
        """Open the store, catch up and begin to work. Returns when users may come."""
        await self.lifecycle.start()

    async def stop(self) -> None:
        """Finish what was begun. Nothing that was accepted is lost."""
        await self.lifecycle.stop()

    def ready(self) -> str | None:
        """None when users can be served, else why not."""
        return self.lifecycle.ready()

    def closed(self) -> str | None:
        """None once it has started, else why not: its ops must accept a loss first, or it starts or stops."""
        return None if self.lifecycle.started else self.lifecycle.ready()

    def warnings(self) -> list[str]:
        """What is wrong elsewhere, one sentence each."""
        return list(self.lifecycle.readiness.warnings())

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self.lifecycle.idle

    async def register(
        self, handle: str, password: str, profile: Mapping[str, str | None], client_address: str, *, separate_tokens: bool = False
    ) -> views.Grant:
        """Register a user at the living home with the fewest; return the grant. Raises `HandleTaken`, `Invalid`, `TooManyRequests`."""
        self._refuse_old_clients(separate_tokens)
        caller = self.sign_in.registration(client_address)
        handle, filled_in = clean_handle(handle), clean_profile(profile)
        if self.directory.by_handle(handle) is not None:  # checked before the costly hash; the claim in the store decides
            raise HandleTaken(handle=handle)
        password_hash = await self.passwords.hash(password, caller)
        for _ in range(UID_TRIES):
            try:
                async with self.homes.one_more() as home:
                    user = Listed(await self.uids.next(), handle, home, filled_in)
                    await self.writer.submit(_registration(user, password_hash, cause=self.new_id()), lane=REGISTRATIONS)
            except (Conflicted, UidTaken):
                await self.current.catch_up()
                continue
            if user.uid not in self.directory.users:  # the owner of the grant must find the user in the directory
                await self.current.catch_up()
            self.sign_in.signed_in(handle, client_address)
            log.info("global.registered", uid=user.uid, home=home)
            return self._grant(user, separate_tokens)
        raise Unavailable("Too many people are registering at once; try again.")

    async def token(self, handle: str, password: str, client_address: str, *, separate_tokens: bool = False) -> views.Grant:
        """A grant for a user who knows the password. Raises `BadCredentials`, `Invalid`, and `TooManyRequests` after too many wrong
        passwords."""
        self._refuse_old_clients(separate_tokens)
        return self._grant(await self._known_by_password(handle.lower(), password, client_address), separate_tokens)

    async def console_token(self, handle: str, password: str, client_address: str, lifetime_s: float) -> str:
        """A token for the console and nothing else. Raises `BadCredentials`, `TooManyRequests`."""
        user = await self._known_by_password(handle.lower(), password, client_address)
        return self._sign(user, (CONSOLE,), self.clock(), lifetime_s)

    async def erase_me(self, who: Identity, password: str, client_address: str) -> None:
        """Close one's own account and destroy the key of everything one wrote. Raises `BadCredentials`, `TooManyRequests`."""
        user = await self._known_by_password(who.handle, password, client_address)
        await self._close(user.uid, reason="own wish")

    async def erase(self, who: Identity, uid: int) -> None:
        """Close an account and destroy the key of everything its user wrote; a second time changes nothing. Raises `Forbidden` unless
        `who` has the role `ops`, and `UnknownUser`."""
        if OPS not in who.roles:
            raise Forbidden(f"This needs the role {OPS}.")
        await self._close(uid, reason=f"by {who.handle}")

    async def _close(self, uid: int, reason: str) -> None:
        await self.current.catch_up()  # every home must hear of the closing, so every home must be known
        if (user := self.directory.users.get(uid)) is not None:
            self.sign_in.forget(user.handle)
        homes = sorted(self.directory.homes)
        await self.writer.submit((CloseAccount(uid=uid, reason=reason, homes=homes, cause=self.new_id()),), lane=uid)
        if uid in self.directory.users:
            await self.current.catch_up()
        log.info("global.erased", uid=uid)

    async def _known_by_password(self, handle: str, password: str, client_address: str) -> Listed:
        attempt = self.sign_in.attempt(handle, client_address)
        try:
            user = await self.current.find(lambda: self.directory.by_handle(handle))
            stored = await self._password_hash(user.uid) if user else None
            fits = await self.passwords.verify(password, stored, attempt.caller)
        except (Unavailable, TooManyRequests):
            attempt.give_back(hashed=False)
            raise
        if not fits or user is None or stored is None:
            raise BadCredentials
        attempt.give_back(hashed=True)
        self.sign_in.signed_in(handle, client_address)
        if self.passwords.is_outdated(stored):
            await self._hash_again(user.uid, password, stored, attempt.caller)
        return user

    async def search(self, who: Identity, words: str, fields: Mapping[str, str], limit: int, cursor: str | None) -> views.Users:
        """One page of users. Raises `Invalid`, `TooManyRequests`."""
        self.limits.lookups.take(who.uid)
        question = self.directory.question(words, fields, limit, cursor)
        users, following = self.directory.page(question, await self.searches.find(who.uid, question))
        return views.Users([self._view(user) for user in users], following)

    async def user(self, who: Identity, uid: int) -> views.User:
        """A user by number. Raises `UnknownUser`, `TooManyRequests`."""
        return await self._look_up(who, lambda: self.directory.users.get(uid), uid=uid)

    async def user_by_handle(self, who: Identity, handle: str) -> views.User:
        """A user by login name, whatever its case. Raises `UnknownUser`, `TooManyRequests`."""
        return await self._look_up(who, lambda: self.directory.by_handle(handle), handle=handle)

    async def _look_up(self, who: Identity, look: Callable[[], Listed | None], **asked: Any) -> views.User:
        self.limits.lookups.take(who.uid)
        user = await self.current.find(look)
        if user is None:
            raise UnknownUser(**asked)
        return self._view(user)

    async def change_profile(self, who: Identity, profile: Mapping[str, str | None]) -> views.User:
        """Set the named fields; None or a blank text empties a field. Returns the user. Raises `Invalid`, `UnknownUser`,
        `TooManyRequests`."""
        self.limits.profile_changes.take(who.uid)
        command = ChangeProfile(uid=who.uid, profile=profile, cause=self.new_id())

        def changed(events: list[Event]) -> Listed:
            state = self.writer.state(command.stream)
            return Listed(state.uid, state.handle, state.home, dict(state.profile))

        return self._view(await self.writer.submit((command,), answer=changed, lane=who.uid))

    async def presence(self, who: Identity, uids: Collection[int] | None, limit: int, after: int) -> views.PresencePage:
        """A snapshot for integrators. Raises `NotAnIntegrator`, `NotGranted`."""
        return await self.presence_view.snapshot(who, uids, limit, after)

    def subscribe(self, who: Identity, uids: Collection[int] | None, after: str | None, outlet: Outlet) -> Subscriber:
        """The presence feed for an integrator, from a cursor on. Raises `NotAnIntegrator`, `NotGranted`, `Gap`."""
        return self.presence_view.subscribe(who, uids, after, outlet)

    def end_streams(self) -> None:
        """End every presence stream, so that an edge that stops need not wait for them."""
        self.presence_view.subscribers.end_all()

    def lost(self, session: Subscriber) -> None:
        """A subscriber's transport is gone."""
        self.presence_view.subscribers.lost(session)

    async def _password_hash(self, uid: int) -> str | None:
        """The stored hash of an open account. It lives in the account's state only, never in the directory or its checkpoint."""
        command = LookUpAccount(uid=uid, cause=self.new_id())
        try:
            found: str = await self.writer.submit((command,), answer=lambda _: self.writer.state(command.stream).password_hash, lane=uid)
        except UnknownUser:
            return None
        return found or None

    async def _hash_again(self, uid: int, password: str, stored: str, caller: Caller) -> None:
        """Hash the password again at today's cost, while it is at hand. A failure is harmless, because the next login tries again."""
        with contextlib.suppress(Unavailable, UnknownUser, TooManyRequests):
            fresh = await self.passwords.hash(password, caller)
            await self.writer.submit((ChangeCredential(uid=uid, password_hash=fresh, instead_of=stored, cause=self.new_id()),), lane=uid)

    def _home(self, name: str) -> views.Home:
        return views.Home(name, self.directory.home_url(name))

    def _view(self, user: Listed) -> views.User:
        return views.User(user.uid, user.handle, self._home(user.home), dict(user.profile))

    def _refuse_old_clients(self, separate_tokens: bool) -> None:
        if not (separate_tokens or self.config.old_clients):
            raise Invalid("separate_tokens", "true, because this installation gives no token that is good for two servers")

    def _grant(self, user: Listed, separate_tokens: bool) -> views.Grant:
        now, lifetime_s = self.clock(), self.config.token_lifetime_s
        token = self._sign(user, (HOME,) if separate_tokens else OF_OLD_CLIENTS, now, lifetime_s)
        global_token = self._sign(user, (GLOBAL,), now, lifetime_s) if separate_tokens else UNSET
        return views.Grant(user.uid, user.handle, self._home(user.home), token, rfc3339(now + lifetime_s), global_token)

    def _sign(self, user: Listed, audiences: Sequence[str], now: float, lifetime_s: float) -> str:
        return self.signer.issue(
            uid=user.uid,
            handle=user.handle,
            name=display_name(user.handle, user.profile),
            home=user.home,
            home_url=self.directory.home_url(user.home),
            roles=self._roles(user.handle, audiences),
            audiences=audiences,
            now=now,
            lifetime_s=lifetime_s,
        )

    def _roles(self, handle: str, audiences: Sequence[str]) -> list[str]:
        """The roles that a token carries. A home sees neither, and a token that a home sees as well cannot erase anybody."""
        roles = []
        if HOME not in audiences and handle in self.config.ops:
            roles.append(OPS)
        if GLOBAL in audiences and handle in self.config.integrators:
            roles.append(INTEGRATOR)
        return roles


def _registration(user: Listed, password_hash: str, cause: str) -> tuple[ClaimHandle, RegisterAccount]:
    """Both commands happen or neither. Only the account's own stream holds the hash."""
    return (
        ClaimHandle(handle=user.handle, uid=user.uid, cause=cause),
        RegisterAccount(uid=user.uid, handle=user.handle, home=user.home, profile=user.profile, password_hash=password_hash, cause=cause),
    )
