"""Servers of which a test needs the other side only: a home that asks, or a Global Server that answers. Rule: what they prove, they prove
with real keys; none is let in because it is a test.
"""

from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

from msgspec import msgpack

from broker.port import Broker
from domain.registry.registered_home import GLOBAL
from servers.encryption.key_tables import SqliteKeys
from servers.messaging.heartbeats import PURPOSE as HEARTBEAT
from servers.messaging.heartbeats import Beat
from servers.messaging.private_questions import PrivateAnswers, PrivateRequests
from servers.messaging.questions import Announce, ToldCard, ToldWords, server_key
from servers.trust import certificate, enrolment
from servers.trust.card import card_bytes, global_key_of
from servers.trust.enrolment import Enrol, Enrolled, Secret, ask_to_enrol, check_enrolled, open_secret
from servers.trust.records import Records
from servers.trust.server_identity import NotBelieved
from servers.trust.trust import Trust
from servers.trust.user_words import user_word


class RecordsInMemory:
    """A `RecordTable` that lasts as long as the test."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def records(self, prefix: str = "") -> dict[str, bytes]:
        return {name: value for name, value in self.rows.items() if name.startswith(prefix)}

    def change_record(self, name: str, old: bytes | None, new: bytes | None) -> bool:
        if self.rows.get(name) != old:
            return False
        if new is None:
            self.rows.pop(name, None)
        else:
            self.rows[name] = new
        return True


def secret_for(records: Records, home: str, now: float, url: str = "") -> Secret:
    """What the ops give to `home`."""
    secret = open_secret(records, home, url=url, expires=now + enrolment.GOOD_FOR_S, by_ops=True, make_identity=True)
    assert secret is not None
    return secret


async def ask_as(trust: Trust, broker: Broker, to: str, question: Any) -> Any:
    """The answer of a server to the server of this trust, as plain data."""
    requests = PrivateRequests(broker, trust, lambda name: None, lambda card: None)
    return msgpack.decode(await requests.request(server_key(to), msgpack.encode(question), 5))


async def ask_global(broker: Broker, trust: Trust, question: Any) -> Any:
    """The Global Server's answer to a home, as plain data."""
    return await ask_as(trust, broker, GLOBAL, question)


async def beats(broker: Broker, trust: Trust, run: str = "1") -> None:
    """One heartbeat of this server."""
    await broker.send_heartbeat(trust.identity.signed(HEARTBEAT, Beat(trust.name, run, trust.clock(), next(_numbers))))


_numbers = count()


async def enrols(broker: Broker, records: Records, home: str, url: str, clock: Callable[[], float]) -> Trust:
    """A home that becomes known at a real Global Server, whose records are `records`, and announces itself."""
    trust = Trust(home, RecordsInMemory(), clock)
    secret = secret_for(records, home, clock(), url)
    asked = ask_to_enrol(secret, trust.identity, url, 0, trust.box_keys.statements)
    told = msgpack.decode(await broker.request(GLOBAL, msgpack.encode(asked), 5), type=Enrolled)
    assert not told.refused, told.refused
    check_enrolled(secret, asked, told, global_key_of(told.card))
    trust.peers.pin(global_key_of(told.card))
    trust.peers.hold(told.certificate)
    trust.peers.learn(told.card)
    told = await ask_global(broker, trust, Announce(home, url, trust.card))
    assert "keys" in told, told
    return trust


class StandIn:
    """A Global Server's trust, for homes whose test has none. Its keys lie where a home that shares the directory looks for them."""

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        self.keys_url = f"sqlite:///{directory}/keys/{GLOBAL}.db"
        self._table = SqliteKeys(directory / "keys" / f"{GLOBAL}.db")
        self.clock = clock
        self.trust = Trust(GLOBAL, self._table, clock)
        self.trust.certify_itself()

    def answers(self, handle: Callable[[Any], Awaitable[bytes]], user: Callable[[int], tuple[str, str] | None]) -> PrivateAnswers:
        """Its answers: `handle` has those to questions that are not about trust. `user`: handle and home of a number."""

        async def openly(body: bytes) -> bytes:
            asked = msgpack.decode(body)
            if asked["ask"] == "enrol":
                return msgpack.encode(self._enrol(msgpack.decode(body, type=Enrol)))
            if asked["ask"] == "card":
                return msgpack.encode(self._card(asked["name"]))
            if asked["ask"] == "time":
                return await handle(asked)
            return msgpack.encode({"refused": "unknown question"})

        async def answer(source: str, body: bytes) -> bytes:
            asked = msgpack.decode(body)
            if asked["ask"] == "words":
                known = {uid: user(uid) for uid in asked["uids"]}
                words = [user_word(self.trust.identity, uid, *who) for uid, who in known.items() if who]
                return msgpack.encode(ToldWords(words, [uid for uid, who in known.items() if not who]))
            if asked["ask"] == "card":
                return msgpack.encode(self._card(asked["name"]))
            if asked["ask"] == "announce":
                made = self._announced(msgpack.decode(body, type=Announce))
                told = await handle(asked)
                return msgpack.encode(msgpack.decode(told) | {"certificate": made}) if made else told
            return await handle(asked)

        return PrivateAnswers(self.trust, answer, openly, self.trust.peers.learn, lambda name: None)

    def close(self) -> None:
        """Close the table."""
        self._table.close()

    def _enrol(self, asked: Enrol) -> Enrolled:
        try:
            opened = enrolment.take_secret(self.trust.records, asked, self.clock())
        except NotBelieved as refusal:
            return Enrolled(refused=str(refusal))
        known = self.trust.peers.card(asked.name)
        made = certificate.issue(
            self.trust.identity, name=asked.name, urls=(asked.url,), key=asked.key, life=asked.life,
            after=0 if known is None else known.certificate.number, now=self.clock(),
        )  # fmt: skip
        self.trust.peers.learn(card_bytes(made, asked.box_keys))
        return enrolment.answer_enrolled(opened, asked, made, self.trust.card)

    def _announced(self, told: Announce) -> bytes:
        """Learn the card of a home. Its new certificate when its log has begun another life; else nothing."""
        self.trust.peers.learn(told.card)
        card = self.trust.peers.card(told.name)
        if card is None or told.life == card.certificate.life:
            return b""
        held = card.certificate
        made = certificate.issue(
            self.trust.identity, name=held.name, urls=held.urls, key=held.key, life=told.life, after=held.number, now=self.clock()
        )
        self.trust.peers.learn(card_bytes(made, card.statements))
        return made

    def _card(self, name: str) -> ToldCard:
        card = self.trust.peers.card(name)
        return ToldCard(self.trust.card if name == GLOBAL else b"" if card is None else card.raw)
