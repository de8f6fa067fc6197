"""Who belongs to this installation: enrolment, certificates, URLs and revocation. Rule: nobody is enrolled because they came first; it
takes a secret or a wish among the Global Server's own records, and each is an event.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from msgspec import msgpack
from msgspec.structs import replace

from domain.errors import Rejected, Unavailable
from domain.events.global_server import HomeRevoked
from domain.registry.commands import AllowUrl, CertifyHome, EnrolHome, RevokeHome
from projections.directory.directory import NOT_ENROLLED, Directory
from runtime.background_task import BackgroundTask
from runtime.per_minute import LINES_A_MINUTE, PerMinute
from servers.global_server.losses import Losses
from servers.messaging.questions import Announce
from servers.store.event_store import Committed
from servers.trust import certificate, enrolment
from servers.trust.card import Card, card_bytes, read_card
from servers.trust.enrolment import Enrol, Enrolled, OpenSecret
from servers.trust.records import ENROLMENT, HOMES, WISH
from servers.trust.server_identity import NotBelieved
from servers.trust.trust import Trust
from servers.trust.wishes import Wish, read_wish
from servers.writing.writer import Writer

LOOK_S = 1.0  # who types `flash servers revoke` waits for this

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Registrar:
    """The Global Server's side of enrolment."""

    trust: Trust
    writer: Writer
    directory: Directory
    new_id: Callable[[], str]
    losses: Losses
    prepare: Callable[[str], Awaitable[None]]  # the broker for a home that may come
    refused: int = field(default=0, init=False)  # enrolments
    lines: PerMinute = field(default_factory=lambda: PerMinute("refused enrolments", LINES_A_MINUTE), init=False)
    _homes_kept: bytes = field(default=b"", init=False)
    _prepared: set[str] = field(default_factory=set, init=False)
    _looking: BackgroundTask = field(default_factory=lambda: BackgroundTask("registrar"), init=False)

    def start(self) -> None:
        """Believe what the log says of revocations, and begin to look for wishes."""
        for home, stated in self.directory.enrolments.items():
            self.trust.peers.revoke(home, stated.revoked)
        if missing := [home for home in self.directory.homes if home not in self.directory.enrolments]:
            log.warning("registrar.homes_not_enrolled", homes=missing)
        self._looking.start(self._look())

    async def stop(self) -> None:
        """Look no more."""
        await self._looking.stop()

    def committed(self, batch: Sequence[Committed]) -> None:
        """Believe no certificate that was revoked."""
        for each in batch:
            if isinstance(each.event, HomeRevoked):
                self.trust.peers.revoke(each.event.name, each.event.number)

    async def enrol(self, asked: Enrol) -> Enrolled:
        """The answer to a home that wants to become known."""
        try:
            opened = await asyncio.to_thread(self._take_secret, asked)
            if (known := self._enrolled_so(asked)) is not None:  # the answer was lost, or somebody repeats the question
                return enrolment.answer_enrolled(opened, asked, known.stated, self.trust.card)
            made = self._certificate(asked.name, asked.key, asked.url, asked.life)
            card = card_bytes(made, asked.box_keys)
            stated = read_card(card, self.trust.identity.public, self.trust.clock()).certificate
            await self.writer.submit(
                (
                    EnrolHome(
                        name=asked.name, key=asked.key.hex(), url=asked.url, by_ops=opened.by_ops, number=stated.number,
                        expires=stated.expires, life=stated.life, certificate=made.hex(), homes=self._homes(), cause=self.new_id(),
                    ),
                )
            )  # fmt: skip
            self.trust.peers.learn(card)
            await asyncio.to_thread(self.trust.peers.save)  # now, so that `flash servers` shows it
        except (NotBelieved, Rejected) as refusal:
            self.refused += 1
            if self.lines.takes("enrolment"):
                log.error("global.enrolment_refused", home=asked.name, why=str(refusal), left_out=self.lines.rest("enrolment"))
            return Enrolled(refused=str(refusal))
        log.info("global.enrolled", home=asked.name, number=stated.number)
        return enrolment.answer_enrolled(opened, asked, made, self.trust.card)

    async def certify(self, told: Announce) -> bytes:
        """A new certificate for a home whose announcement was taken; empty when the one that it has is still good."""
        card = self.trust.peers.card(told.name)
        if card is None:
            return b""
        held, now, url = card.certificate, self.trust.clock(), told.url.rstrip("/")
        if self._number_shown(told.card) < held.number:
            return card.stated  # its records are an older copy
        if not held.ageing(now) and (held.urls, held.life) == ((url,), told.life):
            return b""
        made = self._certificate(told.name, held.key, url, told.life)
        fresh = read_card(card_bytes(made, card.statements), self.trust.identity.public, now)
        stated = fresh.certificate
        await self.writer.submit(
            (
                CertifyHome(
                    name=told.name, number=stated.number, expires=stated.expires, life=stated.life, certificate=made.hex(),
                    cause=self.new_id(),
                ),
            )
        )  # fmt: skip
        self.trust.peers.learn(fresh.raw)
        await asyncio.to_thread(self.trust.peers.save)
        log.info("global.certified", home=told.name, number=stated.number)
        return made

    async def revoke(self, home: str, by: str = "") -> None:
        """Let nobody believe `home` any more, until the ops enrol it again. `by`: the handle of whoever asked in the console."""
        await self.writer.submit((RevokeHome(name=home, homes=self._homes(), by=by, cause=self.new_id()),))
        await asyncio.to_thread(self._close_secret, home)

    async def allow(self, home: str, url: str) -> None:
        """Let `home` announce itself at `url`. Raises `Invalid`."""
        await self.writer.submit((AllowUrl(name=home, url=url, cause=self.new_id()),))

    def _certificate(self, name: str, key: bytes, url: str, life: int) -> bytes:
        card, now = self.trust.peers.known.get(name), self.trust.clock()
        after = max(self.trust.peers.revoked(name), 0 if card is None else card.certificate.number, self._number(name))
        return certificate.issue(self.trust.identity, name=name, urls=(url.rstrip("/"),), key=key, life=life, after=after, now=now)

    def _enrolled_so(self, asked: Enrol) -> Card | None:
        """The card of a home whose certificate, the newest in the log, says already what it asks for."""
        card = self.trust.peers.card(asked.name)
        if card is None or card.certificate.number != self._number(asked.name):
            return None
        held = card.certificate
        same = (held.key, held.urls, held.life) == (asked.key, (asked.url.rstrip("/"),), asked.life)
        return card if same and not held.ageing(self.trust.clock()) else None

    def _number(self, name: str) -> int:
        return self.directory.enrolments.get(name, NOT_ENROLLED).number

    def _number_shown(self, card: bytes) -> int:
        try:
            return read_card(card, self.trust.identity.public, self.trust.clock()).certificate.number
        except NotBelieved:
            return 0

    def _homes(self) -> list[str]:
        return sorted(self.directory.homes)

    def _take_secret(self, asked: Enrol) -> OpenSecret:
        return enrolment.take_secret(self.trust.records, asked, self.trust.clock())

    def _close_secret(self, home: str) -> None:
        records = self.trust.records
        records.change(ENROLMENT + home, records.read(ENROLMENT + home), None)
        self.trust.peers.save()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                invited, wishes = await asyncio.to_thread(self._records)
                for home in sorted(invited - self._prepared):
                    await self.prepare(home)  # without queues of its own it could not even ask to be enrolled
                    self._prepared.add(home)
                for name, stored in wishes.items():
                    await self._fulfil(name, stored)
            except Unavailable as error:
                log.warning("registrar.store_away", detail=error.detail)

    def _records(self) -> tuple[set[str], dict[str, bytes]]:
        """The homes for which a secret is open, and the wishes. Keeps the names of the homes for `flash servers`. The hour of a secret that
        lay in a file begins when the Global Server sees it, and one whose hour is over is taken away."""
        records, now = self.trust.records, self.trust.clock()
        homes = msgpack.encode({home.name: home.url for home in list(self.directory.homes.values())})
        if homes != self._homes_kept:
            records.put(HOMES, homes)
            self._homes_kept = homes
        for name, stored in records.everything(ENROLMENT).items():
            opened = enrolment.read_open_secret(stored)
            if not opened.expires:
                records.change(name, stored, enrolment.packed(replace(opened, expires=now + enrolment.GOOD_FOR_S)))
            elif now >= opened.expires:
                records.change(name, stored, None)
        return {name.removeprefix(ENROLMENT) for name in records.everything(ENROLMENT)}, records.everything(WISH)

    async def _fulfil(self, name: str, stored: bytes) -> None:
        wish = read_wish(stored)
        try:
            if wish is not None:
                await self._do(wish)
        except Rejected as refusal:
            log.error("registrar.wish_refused", home=wish and wish.home, why=refusal.detail)
        await asyncio.to_thread(self.trust.records.change, name, stored, None)

    async def _do(self, wish: Wish) -> None:
        if wish.kind == "revoke":
            await self.revoke(wish.home)
        elif wish.kind == "accept":
            await self.losses.accept(wish.home)
        else:
            await self.allow(wish.home, wish.url)
        log.info("registrar.wish_fulfilled", kind=wish.kind, home=wish.home)
