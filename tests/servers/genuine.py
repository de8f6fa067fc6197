"""An installation that has run and stopped, to be tampered with: home, Global Server, history. Rule: made once, copied for each test.

Positions are those of the real files; a forger has everything but what is kept elsewhere.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import msgpack

from broker import envelope, topology
from broker.embedded.reader import EmbeddedReader
from domain.integrity.chain import before_all, fingerprint, seal, statement
from domain.registry.commands import ClaimHandle, RegisterAccount
from domain.registry.registered_home import GLOBAL
from servers.encryption.key_tables import SqliteKeys, keys_seen
from servers.global_server.assembly import assemble
from servers.global_server.config import GlobalConfig
from servers.integrity.policy import SealPolicy
from servers.integrity.verify import History, Report, verify
from servers.security.passwords import CHEAP
from servers.trust.publications import SEAL
from servers.trust.records import IDENTITY
from servers.trust.server_identity import ServerIdentity
from tests.servers.homes import Town
from tests.support.waiting import eventually

POLICY = SealPolicy(events=20, seconds=3600)  # full seals, and one at the end
POPUPS = 30
USERS = 12


async def live(directory: Path) -> None:
    """Ann writes to Bob and Carol at h1; the Global Server hears of the seals, and seals its own log."""
    town = Town(directory)
    town.seals = POLICY
    await town.start("h1")
    ann, bob, carol = (town.person(name, "h1") for name in ("ann", "bob", "carol"))
    _, window = await bob.opens()
    await ann.adds(bob)
    await ann.adds(carol)
    for number in range(POPUPS):
        await ann.sends((bob, carol)[number % 2], f"popup {number}")
    await eventually(lambda: len(window.texts()) == POPUPS // 2)
    config = GlobalConfig(f"sqlite:///{directory}/global.db", directory / "global", password_cost=CHEAP, seals=POLICY)
    server = assemble(config, town.broker, clock=town.clock)
    await server.start()
    await eventually(lambda: server.lifecycle.trust.peers.card("h1"))  # from here on it opens the home's mail
    await town.closes("h1")
    for uid in range(1, USERS + 1):
        handle = f"user{uid}"
        register = RegisterAccount(uid=uid, handle=handle, home="h1", profile={}, password_hash="$argon2id$", cause=handle)
        await server.writer.submit((ClaimHandle(handle=handle, uid=uid, cause=handle), register))
    await eventually(lambda: len(server.lifecycle.store.log.read_stream("witness-h1")) >= 4)
    await server.stop()
    await town.stop()


def make(directory: Path) -> Path:
    """The installation's files."""
    asyncio.run(live(directory))
    return directory


async def _learn(directory: Path, server: str) -> History:
    history = History(server)
    async for item in EmbeddedReader(directory / "broker.db").read_stream(topology.HISTORY, "first", follow=False):
        told = envelope.decode(item.body)
        for record in told.events:
            if told.source == server:
                history.learn(record.position, record.stream, record.version, record.topic, record.data, record.time)
    return history


BODIES = f'SELECT offset, body FROM "{topology.HISTORY}"'  # noqa: S608 - a name of ours
MOVE = f'UPDATE "{topology.HISTORY}" SET body = ? WHERE offset = ?'  # noqa: S608 - a name of ours


def move_times_in_history(directory: Path, topic: str, number: int, by_s: float) -> int:
    """Change the time that stands outside the stored bytes of one event of h1. Returns the event's position."""
    with closing(sqlite3.connect(directory / "broker.db")) as database, database:
        seen = 0
        for offset, body in database.execute(BODIES).fetchall():
            message = msgpack.unpackb(body, strict_map_key=False)
            for record in message["events"] if message["source"] == "h1" else ():
                seen += record["topic"] == topic
                if record["topic"] == topic and seen == number:
                    record["time"] += by_s
                    database.execute(MOVE, (msgpack.packb(message), offset))
                    position: int = record["position"]
                    return position
    raise AssertionError("there is no such event")


def identity_of(directory: Path, server: str) -> ServerIdentity:
    """The identity of a server, from the records beside its keys."""
    with closing(SqliteKeys(directory / "keys" / f"{server}.db")) as table:
        return ServerIdentity(server, table.records(IDENTITY)[IDENTITY])


def check(
    directory: Path, *, copies: bool = False, history: bool = False, keys: bool = False, signed: bool = False, server: str = "h1"
) -> Report:
    """Verify with some witnesses; `signed`: by somebody who knows the server's public key."""
    store = f"sqlite:///{directory}/{server}.db"
    return verify(
        server,
        store,
        f"sqlite:///{directory}/{GLOBAL}.db" if copies else None,
        asyncio.run(_learn(directory, server)) if history else None,
        keys=partial(keys_seen, "", store, server) if keys else None,
        checkpoints=sorted((directory / server).glob("*.projection")),
        signers=[identity_of(directory, server).public] if signed else (),
    )


def found(report: Report) -> list[tuple[Any, ...]]:
    """(kind, position) or (kind, position, to) of each finding."""
    return [(f.kind, f.position) if f.to == f.position else (f.kind, f.position, f.to) for f in report.findings]


class Forger:
    """Somebody with a connection to a server's SQLite file."""

    def __init__(self, directory: Path, server: str = "h1") -> None:
        self.directory = directory
        self.server = server
        self.path = directory / f"{server}.db"
        self.last = self.ask("SELECT max(rowid) FROM stored_events")[0][0]

    def ask(self, sql: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as database:
            return database.execute(sql, values).fetchall()

    def do(self, sql: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.path)) as database, database:
            assert database.execute(sql, values).rowcount, "nothing was tampered with"

    def position(self, topic: str, number: int = 0) -> int:
        """Where the `number`th event of a topic lies."""
        rows = self.ask("SELECT rowid FROM stored_events WHERE topic = ? ORDER BY rowid", topic)
        position: int = rows[number][0]
        return position

    def rewrite(self, position: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Change fields of a stored event."""
        state = msgpack.unpackb(self.ask("SELECT state FROM stored_events WHERE rowid = ?", position)[0][0], strict_map_key=False)
        change(state)
        self.do("UPDATE stored_events SET state = ? WHERE rowid = ?", msgpack.packb(state), position)

    def insert(self, position: int) -> None:
        """A message that was never sent."""
        columns = "rowid, originator_id, originator_version, topic, state"
        self.do(f"INSERT INTO stored_events ({columns}) VALUES (?, 'user-9', 1, 'user.message_sent', x'80')", position)  # noqa: S608 - constants

    def append(self, stream: str, topic: str, version: int | None = None, **fields: Any) -> int:
        """An event at the log's end, as the server would store it. Returns its position."""
        if version is None:
            version = self.ask("SELECT coalesce(max(originator_version), 0) + 1 FROM stored_events WHERE originator_id = ?", stream)[0][0]
        columns = "originator_id, originator_version, topic, state"
        values = (stream, version, topic, msgpack.packb({"cause": "forged", **fields}))
        self.do(f"INSERT INTO stored_events ({columns}) VALUES (?, ?, ?, ?)", *values)  # noqa: S608 - constants
        position: int = self.ask("SELECT max(rowid) FROM stored_events")[0][0]
        return position

    def seal_again(self) -> None:
        """Seal what the last seal does not cover, as the server would do at its next start."""
        rows = self.ask("SELECT rowid, originator_id, originator_version, topic, state FROM stored_events ORDER BY rowid")
        told = msgpack.unpackb(next(row[4] for row in reversed(rows) if row[1] == f"log-{self.server}"))
        fresh = [row for row in rows if row[0] > told["last"]]
        made = seal(told["digest"], told["last"] + 1, [row[0] for row in fresh], [fingerprint(*row[1:]) for row in fresh])
        signature = identity_of(self.directory, self.server).sign(SEAL, statement(self.server, 0, made)).hex()
        self.append(f"log-{self.server}", "log.sealed", server=self.server, at=told["at"], signature=signature, **asdict(made))

    def shift(self, start: int, by: int) -> None:
        """Number every event from `start` on anew."""
        self.do("UPDATE stored_events SET rowid = -rowid WHERE rowid >= ?", start)
        self.do("UPDATE stored_events SET rowid = ? - rowid WHERE rowid < 0", by)

    def chain_anew(self, previous: str = "") -> None:
        """Make every seal of the log fit what stands there now. `previous`: what the first one claims to continue."""
        rows = self.ask("SELECT rowid, originator_id, originator_version, topic, state FROM stored_events ORDER BY rowid")
        prints: dict[int, bytes] = {}
        previous = previous or before_all(self.server)
        for position, stream, version, topic, state in rows:
            if stream == f"log-{self.server}":
                told = msgpack.unpackb(state)
                covered = [p for p in prints if told["first"] <= p <= told["last"]]
                fresh = seal(previous, told["first"], covered, [prints[p] for p in covered])
                told.update(digest=fresh.digest, previous=previous, marks=fresh.marks, gaps=fresh.gaps, count=fresh.count, last=fresh.last)
                state, previous = msgpack.packb(told), fresh.digest
                if self.ask("SELECT state FROM stored_events WHERE rowid = ?", position)[0][0] != state:
                    self.do("UPDATE stored_events SET state = ? WHERE rowid = ?", state, position)
            prints[position] = fingerprint(stream, version, topic, state)
