"""The hostile home h3. Rule: it is enrolled as every home is, and speaks by the broker and the boxes that every home has."""

import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import MsgspecError, msgpack

from bench.fair.town import town_of
from broker import history, mail, topology
from broker.envelope import EventRecord
from broker.history import Head as Publication
from broker.mail import Body, Head
from broker.port import Outgoing
from broker.publishers import EVERY_SERVER
from broker.rabbitmq.broker import RabbitBroker, RabbitConfig
from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from servers.encryption.key_tables import SqliteKeys
from servers.home.enrolling import Enrolling
from servers.messaging.heartbeats import PURPOSE, Beat
from servers.messaging.private_questions import BoxedAnswer, PrivateRequests
from servers.messaging.questions import Announce, Announced, AskCard, ToldCard, ask, server_key
from servers.trust.publications import PURPOSE as HISTORY_PURPOSE
from servers.trust.trust import Trust

NAME, VICTIM, ANOTHER = "h3", "h1", "h2"
URL = "http://127.0.0.1:9"  # where nobody listens
TIMEOUT_S = 5.0
REFUSES = "no answer that can be believed"  # as `PrivateRequests` says of a server that answers with a refusal
Answers = dict[str, int]


class HostileHome:
    """`share`: the part of the full rate; `ports`: of the Global Server, of h1 and of h2; `counted`: what came of it."""

    def __init__(self, directory: Path, ports: Sequence[int], broker_url: str, share: float) -> None:
        self.share = share
        self.broker_url = broker_url
        self.registry_port = ports[0]
        self.town = town_of(directory, ports)
        self.counted: Answers = {}
        self.trust = Trust(NAME, SqliteKeys(directory / "hostile.db"))
        self.broker = RabbitBroker(broker_url, NAME, RabbitConfig(users={EVERY_SERVER: "guest"}))  # as whom the servers connect
        self.requests = PrivateRequests(self.broker, self.trust, lambda name: None, self.trust.peers.learn)
        self._registry = f"sqlite:///{directory}/keys/{GLOBAL}.db"
        self._numbers = itertools.count(1)
        self._position = time.time_ns() // 1_000  # a later attacker goes on above it, because what came before is not read

    async def open(self) -> None:
        """Connect, and become known where it is not."""
        await self.broker.start()
        await self.broker.wait_connected(TIMEOUT_S * 4)
        if not self.trust.enrolled:
            await Enrolling(self.broker, self.trust, URL, lambda: 0, None, (self._registry,)).enrol()
            await ask(self.requests, GLOBAL, Announce(NAME, URL, self.trust.card), Announced, TIMEOUT_S)
            for name in (VICTIM, ANOTHER):
                self.trust.peers.learn((await ask(self.broker, server_key(name), AskCard(name), ToldCard, TIMEOUT_S)).card)
            self.trust.peers.save()

    def count(self, what: str, times: int = 1) -> None:
        """Note what came of it."""
        self.counted[what] = self.counted.get(what, 0) + times

    def number(self) -> int:
        """A number that it has not used."""
        return next(self._numbers)

    async def send(self, *messages: Outgoing) -> None:
        """Publish, and count."""
        try:
            await self.broker.publish(messages)
            self.count("sent", len(messages))
        except Unavailable:
            self.count("not confirmed", len(messages))

    async def question(self, to: str, question: object, *, raw: bool = False) -> None:
        """Ask in a box, or as it is, and count."""
        asked = msgpack.encode(question)
        try:
            if raw:
                told = msgpack.decode(await self.broker.request(server_key(to), asked, TIMEOUT_S), type=BoxedAnswer)
                self.count("refused" if told.refused else "answered")
            else:
                await self.requests.request(server_key(to), asked, TIMEOUT_S)
                self.count("answered")
        except Unavailable as error:
            self.count("refused" if REFUSES in error.detail else "unanswered")
        except MsgspecError:
            self.count("unreadable")

    def beat(self, name: str = NAME, run: str = "", number: int = 1) -> Outgoing:
        """A heartbeat; of another run than the one before, if none is named."""
        beat = Beat(name, run or f"run {self.number()} {os.getpid()}", self.trust.clock(), number)
        return Outgoing(topology.HEARTBEATS, "", self.trust.identity.signed(PURPOSE, beat))

    def junk(self, count: int, size: int = 1) -> list[EventRecord]:
        """Events that nobody can read."""
        first = self._position + 1
        self._position += count
        return [EventRecord(first + n, "user-3", n + 1, "no.such_topic", 1.0, b"x" * size) for n in range(count)]

    def mail(self, records: Sequence[EventRecord], source: str = NAME) -> Outgoing:
        """A mail to h1, which says that it is of a source."""
        card = self.trust.peers.card(VICTIM)
        assert card is not None
        life, last = card.certificate.life, records[-1].position
        head = mail.encode_head(Head(source, VICTIM, 0, life, 0, last, False, ["no.such_topic"]))
        box = self.trust.boxes.close(VICTIM, mail.PURPOSE, head, mail.encode_body(Body(records, life, 0, [])))
        return Outgoing(topology.HOMES, VICTIM, mail.encode(head, box, self.trust.card))

    def publication(self, records: Sequence[EventRecord]) -> Outgoing:
        """A publication of the history, which it has signed."""
        head = Publication(era=1, life=0, former=0, agreed=0, after=records[0].position - 1, last=records[-1].position,
                           at=self.trust.clock(), certificate=self.trust.peers.certificate)  # fmt: skip
        body = history.encode(NAME, head, records, lambda signed: self.trust.identity.sign(HISTORY_PURPOSE, signed))
        return Outgoing(topology.EVENTS, f"{NAME}.{len(records)}", body)
