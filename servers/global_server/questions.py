"""The Global Server's answers to homes. Rule: what a home announces is an event; what it asks changes nothing.

The homes' side is `servers/home/global_client.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from msgspec import MsgspecError, msgpack

from broker.port import Broker
from domain.errors import Rejected
from domain.registry.commands import AnnounceHome
from projections.directory.directory import Directory
from runtime.per_minute import LINES_A_MINUTE, PerMinute
from servers.global_server.current_directory import CurrentDirectory
from servers.global_server.losses import Losses
from servers.global_server.own_life import OwnLife
from servers.global_server.registrar import Registrar
from servers.global_server.vouching import Vouching
from servers.lives.keeper import LifeKeeper
from servers.messaging.cards import Cards
from servers.messaging.mail_check import MailCheck
from servers.messaging.questions import (
    Announce,
    Announced,
    AskCard,
    AskLife,
    AskTime,
    AskWords,
    FoundUser,
    GlobalQuestion,
    MailQuestion,
    Refused,
    RemoteUser,
    ToldTime,
)
from servers.security.signer import Signer
from servers.trust.enrolment import Enrol
from servers.trust.server_identity import NotBelieved
from servers.writing.writer import Writer

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Questions:
    """Answers of one Global Server."""

    broker: Broker
    writer: Writer
    signer: Signer
    directory: Directory
    current: CurrentDirectory
    new_id: Callable[[], str]
    registrar: Registrar
    cards: Cards
    mail_check: MailCheck
    losses: Losses
    own_life: OwnLife
    keeper: LifeKeeper
    vouching: Vouching
    lines: PerMinute = field(default_factory=lambda: PerMinute("unknown questions", LINES_A_MINUTE), init=False)

    async def openly(self, body: bytes) -> bytes:
        """The answer to a question in the clear. An enrolment and a card prove themselves; the time is asked before an enrolment."""
        try:
            question = msgpack.decode(body, type=Enrol | AskCard | AskTime)
        except MsgspecError:
            self._say_unknown("in the clear")
            return msgpack.encode(Refused("unknown question"))
        if isinstance(question, AskTime):
            return msgpack.encode(self._time())
        if isinstance(question, Enrol):
            return msgpack.encode(await self.registrar.enrol(question))
        return msgpack.encode(self.cards.shown(question))

    async def answer(self, source: str, body: bytes) -> bytes:
        """The answer to one question of `source`. Raises `NotBelieved` for one that this server may not ask."""
        try:
            question = msgpack.decode(body, type=GlobalQuestion)
        except MsgspecError:
            self._say_unknown(source)
            return msgpack.encode(Refused("unknown question"))
        if isinstance(question, Announce):
            if question.name != source:
                raise NotBelieved(f"{source} announced {question.name}")
            return msgpack.encode(await self._announced(question))
        if isinstance(question, AskCard):
            return msgpack.encode(self.cards.shown(question))
        if isinstance(question, AskLife):
            if question.name != source:
                raise NotBelieved(f"{source} asked about the life of {question.name}")
            return msgpack.encode(await self.losses.told(question))
        if isinstance(question, AskTime):
            return msgpack.encode(self._time())
        if isinstance(question, AskWords):
            return msgpack.encode(await self.vouching.told(question))
        if isinstance(question, MailQuestion):
            return msgpack.encode(await self.mail_check.answer(source, question))
        user = await self.current.find(lambda: self.directory.users.get(question.uid))
        if user is None:
            return msgpack.encode(FoundUser(None))
        return msgpack.encode(FoundUser(RemoteUser(user.uid, user.handle, user.name, user.home), self.vouching.word(user.uid)))

    def _say_unknown(self, source: str) -> None:
        if self.lines.takes(source):
            log.error("global.question_unknown", source=source, left_out=self.lines.rest(source))

    def _time(self) -> ToldTime:
        return ToldTime(self.writer.clock())

    async def _announced(self, home: Announce) -> Announced | Refused:
        try:
            await self.writer.submit((AnnounceHome(name=home.name, url=home.url, cause=self.new_id()),))
        except Rejected as refusal:
            log.error("global.home_refused", home=home.name, code=refusal.code)
            return Refused(refusal.detail, url_refused="url" in refusal.extra, revoked=self.registrar.trust.peers.all_revoked)
        self.keeper.heard_of(home.name, await self.own_life.shown(home.standing))
        if home.card:
            self.cards.learn(home.card)
        await self.broker.declare_inbox(home.name)  # from now on users may come to it: a message without a queue would stop an outbox
        peers = self.registrar.trust.peers
        return Announced(self.signer.public_keys(), certificate=await self.registrar.certify(home),
                         card=self.registrar.trust.card, revoked=peers.all_revoked,
                         sealed=await self.losses.sealed(home.name), standing=self.own_life.standing())  # fmt: skip
