"""What is written without a connection, or by a client that is killed, arrives once. Rule: the recipient's window is the judge."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.tk.model.inputs import SetStatus
from clients.tk.model.values import Received, SentState
from tests.clients.tk.engine.person import Person
from tests.clients.tk.servers import ROOT, RunningServer

KILLS = 20
LONGEST_LIFE = 30  # messages a client may promise before it is killed


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "servers") as server:
        yield server


def test_written_while_the_server_is_away_and_sent_when_it_is_back(servers: RunningServer, tmp_path: Path) -> None:
    with Person(tmp_path / "ann", servers.url) as ann, Person(tmp_path / "bob", servers.url) as bob:
        ann.signs_in("ann")
        bob.signs_in("bob")
        to_bob = ann.adds("bob")
        ann.see(lambda: ann.model.row(to_bob).status == "online")
        servers.kill()
        ann.see(lambda: ann.model.connection.state == "reconnecting")
        assert ann.model.row(to_bob).status == "unknown"
        line = ann.model.connection.line
        assert line(ann.model.connection.retry_at or pytest.fail("no next try")).startswith("reconnecting: ")
        sent = [ann.writes(to_bob, f"number {n}") for n in range(10)]
        ann.do(SetStatus("away", "no network"))
        ann.see(lambda: all(ann.state(id) is SentState.WAITING for id in sent))
        servers.start()
        ann.see(lambda: all(ann.state(id) >= SentState.DELIVERED for id in sent))
        bob.see(lambda: len(bob.model.inbox) == 10)
        assert bob.reads(ann.uid) == [f"number {n}" for n in range(10)]
        ann.see(lambda: ann.model.status.saved)


def test_written_before_there_ever_was_a_connection(servers: RunningServer, tmp_path: Path) -> None:
    with Person(tmp_path / "ann", servers.url) as ann, Person(tmp_path / "bob", servers.url) as bob:
        ann.signs_in("ann")
        bob.signs_in("bob")
        to_bob = ann.adds("bob")
    servers.kill()
    with Person(tmp_path / "ann", servers.url) as ann:  # an evening on the train
        ann.see(lambda: ann.model.connection.state == "reconnecting")
        assert [row.handle for group in ann.model.groups() for row in group.rows] == ["bob"]
        sent = ann.writes(to_bob, "written on the train")
        ann.see(lambda: ann.state(sent) is SentState.WAITING)
    servers.start()
    with Person(tmp_path / "ann", servers.url) as ann, Person(tmp_path / "bob", servers.url) as bob:
        ann.see(lambda: ann.state(sent) is SentState.DELIVERED)
        bob.see(lambda: bob.model.open_popups)
        assert bob.reads(ann.uid) == ["written on the train"]


def test_nothing_is_lost_or_doubled_when_the_client_is_killed_again_and_again(servers: RunningServer, tmp_path: Path) -> None:
    chance = random.Random(7)
    promised: list[str] = []
    with Person(tmp_path / "bob", servers.url) as bob:
        bob.signs_in("bob")
        with Person(tmp_path / "ann", servers.url) as ann:
            ann.signs_in("ann")
            to_bob = ann.adds("bob")
            ann_uid = ann.uid
        for _ in range(KILLS):
            command = [sys.executable, "-m", "tests.clients.tk.engine.writer", str(tmp_path / "ann"), servers.url, "ann", str(to_bob)]
            writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            assert writer.stdout is not None
            for _ in range(chance.randint(1, LONGEST_LIFE)):
                promised.append(writer.stdout.readline().strip())
                bob.see(lambda: True)
            writer.kill()
            promised += writer.communicate()[0].split()
        assert all(promised)
        with Person(tmp_path / "ann", servers.url) as ann:
            ann.see(lambda: ann.model.account is not None and not ann.model.outbox)
            bob.see(lambda: {entry.id for entry in received(bob, ann_uid)} >= set(promised), "all that was promised")
            ann.see(lambda: all(ann.state(id) is SentState.DELIVERED for id in promised if ann.model.messages.sent(id)))
        copies = Counter(entry.id for entry in received(bob, ann_uid))
        doubled = sum(copies.values()) - len(copies)
        print(f"{KILLS} kills, {len(promised)} messages promised, {len(copies)} arrived, {doubled} doubled")
        assert doubled == 0
        assert len(bob.shown) == len(set(bob.shown))


def received(person: Person, uid: int) -> list[Received]:
    return [entry for entry in person.model.conversation(uid) if isinstance(entry, Received)]
