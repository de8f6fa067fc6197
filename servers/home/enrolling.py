"""How a home gets its certificate. Rule: it says nothing to a Global Server whose key it cannot check, and it needs a secret: one that it
was given, or one that it makes itself where it shares the Global Server's directory.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import structlog
from msgspec import MsgspecError

from broker.port import Broker
from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from servers.encryption.key_tables import existing_table
from servers.messaging.questions import ask
from servers.trust.card import global_key_of
from servers.trust.enrolment import GOOD_FOR_S, Enrolled, Secret, ask_to_enrol, check_enrolled, fingerprint, open_secret
from servers.trust.records import Records
from servers.trust.server_identity import NotBelieved
from servers.trust.trust import Trust
from servers.trust.wishes import Wish, make_wish

ENROL_TIMEOUT_S = 10.0
WISH_S = 5.0  # the Global Server looks each second
WISH_LOOK_S = 0.05

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Enrolling:
    """One home's enrolment. `secret`: what `flash enroll` printed, if it was given; `registry_keys`: where the Global Server's keys may
    lie, if this home shares its directory or its database."""

    broker: Broker
    trust: Trust
    url: str
    life: Callable[[], int]
    secret: Secret | None
    registry_keys: Sequence[str]

    async def enrol(self) -> None:
        """Get a certificate. Raises `Unavailable` when that must be tried again, `NotBelieved` when it was refused or somebody lies."""
        secret = self.secret or await asyncio.to_thread(self._make_secret)
        if secret is None:
            raise Unavailable(f"{self.trust.name} is not enrolled: give it what `flash enroll {self.trust.name}` prints.")
        asked = ask_to_enrol(secret, self.trust.identity, self.url, self.life(), self.trust.box_keys.statements)
        try:
            told = await ask(self.broker, GLOBAL, asked, Enrolled, ENROL_TIMEOUT_S)
        except MsgspecError:
            raise Unavailable("The Global Server's answer is unreadable.") from None
        if told.refused:
            raise NotBelieved(told.refused)
        global_key = global_key_of(told.card)
        check_enrolled(secret, asked, told, global_key)
        await self._keep(told, global_key)
        log.info("home.enrolled", home=self.trust.name)

    @property
    def needed(self) -> bool:
        """Whether this home must be enrolled: it was not, or it was given the secret of a Global Server that has another key than the one
        it knows, because that one was lost."""
        return not self.trust.enrolled or self._pins_anew

    @property
    def _pins_anew(self) -> bool:
        known = self.trust.peers.global_key
        return bool(known) and self.secret is not None and self.secret.fingerprint != fingerprint(known)

    async def allow_own_url(self) -> bool:
        """Let the Global Server allow the URL of this home, which shares its directory. False where it does not, or does not run."""
        return await asyncio.to_thread(self._allow_own_url)

    @property
    def moved(self) -> bool:
        """Whether this home is certified for another URL than the one that it has now."""
        held = self.trust.peers.held
        return held is not None and held.urls != (self.url.rstrip("/"),)

    async def _keep(self, told: Enrolled, global_key: bytes) -> None:
        peers = self.trust.peers
        if self._pins_anew:
            await asyncio.to_thread(peers.pin_anew, global_key)
            peers.forget_all(global_key)
        await asyncio.to_thread(peers.pin, global_key)
        peers.hold(told.certificate)
        peers.learn(told.card)
        await asyncio.to_thread(peers.save)

    def _make_secret(self) -> Secret | None:
        with self._registry() as records:
            if records is None:
                return None
            expires = self.trust.clock() + GOOD_FOR_S
            return open_secret(records, self.trust.name, url=self.url, expires=expires, by_ops=False)

    def _allow_own_url(self) -> bool:
        with self._registry() as records:
            if records is None:
                return False
            wish = make_wish(records, Wish(kind="allow", home=self.trust.name, url=self.url))
            until = time.monotonic() + WISH_S
            while records.read(wish) is not None and time.monotonic() < until:
                time.sleep(WISH_LOOK_S)
            return records.read(wish) is None

    @contextmanager
    def _registry(self) -> Iterator[Records | None]:
        """The Global Server's records, where this home shares its directory or database. They are never made here."""
        for url in self.registry_keys:
            table = existing_table(url, url, GLOBAL)
            if table is not None:
                with closing(table):
                    yield Records(table)
                return
        yield None
