"""Somebody answers homes' questions in the Global Server's place. Rule: the impostor is an enrolled home with real keys, and hears every
question; what it cannot do is what this proves.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack

from domain.errors import Unauthorized, Unavailable
from domain.registry.registered_home import GLOBAL
from servers.home.service import HomeServer
from servers.messaging.private_questions import ANSWER
from servers.messaging.questions import Announced, FoundUser, RemoteUser
from servers.security.signer import Signer
from servers.security.tokens import HOME
from servers.trust.trust import Trust
from tests.servers.homes import Person, Town
from tests.servers.strangers import RecordsInMemory
from tests.support.waiting import eventually

Answer = Callable[[bytes, bytes], bytes]  # the head of the question and the false answer, as the impostor sends it


class Impostor:
    """It has h2's keys, an identity that calls itself the Global Server, and a signing key of its own."""

    def __init__(self, town: Town, directory: Path, how: Answer) -> None:
        self.signer = Signer.load_or_create(directory / "impostor.pem")
        self.how = how
        self.asked = 0
        self.town = town

    async def answer(self, body: bytes, asker: str = "") -> bytes:
        """Whatever is asked: its key is the one to believe, and everybody lives at h2."""
        self.asked += 1
        question: dict[str, Any] = msgpack.decode(body)
        told: Any = Announced(keys=self.signer.public_keys(), revoked={"h1": 2**40})
        if question["ask"] == "boxed":
            return self.how(question["head"], msgpack.encode(told))
        return msgpack.encode(told)

    def token(self, home: str, uid: int) -> str:
        """For ann, as the Global Server would have signed it."""
        return self.signer.issue(
            uid=uid,
            handle="ann",
            name="Ann",
            home=home,
            home_url=f"http://{home}",
            audiences=(HOME,),
            now=self.town.clock(),
            lifetime_s=3600,
        )


def in_the_clear(head: bytes, told: bytes) -> bytes:
    return told


def as_h2(town: Town, head: bytes, told: bytes) -> bytes:
    return msgpack.encode({"box": town.homes["h2"].lifecycle.trust.boxes.close("h1", ANSWER, head, told)})


def as_a_global_server_of_its_own(town: Town, head: bytes, told: bytes) -> bytes:
    trust = Trust(GLOBAL, RecordsInMemory(), town.clock)
    trust.peers.pin(town.registry.trust.identity.public)  # so that it knows h1
    trust.peers.learn(town.homes["h1"].lifecycle.trust.card)
    return msgpack.encode({"box": trust.boxes.close("h1", ANSWER, head, told)})


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(tmp_path)
    await town.start("h1", "h2")
    for one, other in (("h1", "h2"), ("h2", "h1")):
        town.homes[one].lifecycle.trust.peers.learn(town.homes[other].lifecycle.trust.card)
    yield town
    await town.stop()


@pytest.mark.parametrize("how", ["in the clear", "as h2", "as a Global Server of its own"])
async def test_no_signing_key_of_an_impostor_is_believed(town: Town, tmp_path: Path, how: str) -> None:
    ways: dict[str, Answer] = {
        "in the clear": in_the_clear,
        "as h2": lambda head, told: as_h2(town, head, told),
        "as a Global Server of its own": lambda head, told: as_a_global_server_of_its_own(town, head, told),
    }
    impostor = Impostor(town, tmp_path, ways[how])
    home: HomeServer = town.homes["h1"]
    held = home.lifecycle.trust.peers.held
    await town.broker.serve(GLOBAL, impostor.answer)
    home.lifecycle.global_client.announce()
    await eventually(lambda: impostor.asked >= 2 and home.lifecycle.global_client.refused)
    with pytest.raises((Unauthorized, Unavailable)):
        home.verifier.verify(impostor.token("h1", 1))
    assert home.lifecycle.trust.peers.global_key == town.registry.trust.identity.public
    assert home.lifecycle.trust.peers.held == held
    assert home.lifecycle.trust.peers.revoked("h1") == 0, "nor does anybody but the Global Server revoke"


async def test_no_impostor_says_where_somebody_lives(town: Town) -> None:
    bob = town.person("bob", "h2")

    async def answer(body: bytes, asker: str = "") -> bytes:
        return msgpack.encode(FoundUser(RemoteUser(bob.uid, "bob", "Bob", "h1")))

    await town.broker.serve(GLOBAL, answer)
    with pytest.raises(Unavailable):
        await town.homes["h1"].lifecycle.global_client.user(bob.uid)


async def test_a_home_that_was_never_enrolled_believes_no_impostor_either(tmp_path: Path) -> None:
    """It has a secret, whose fingerprint is that of the real Global Server; who answers is another one, which even knows the secret."""
    town = Town(tmp_path)
    await town.broker.start()
    await town.broker.wait_connected(5)
    false = Town(tmp_path / "false")
    answers = false.registry.answers(false._answer, false._who)
    asked = 0

    async def answer(body: bytes, asker: str = "") -> bytes:
        nonlocal asked
        asked += 1
        stored = town.registry.trust.records.everything("enrolment ")
        for name, secret in stored.items():
            false.registry.trust.records.put(name, secret)
        return await answers.answer(body)

    await town.broker.serve(GLOBAL, answer)
    home = await town.opens("h1")
    await eventually(lambda: asked > 0 and "fingerprint" in home.lifecycle.global_client.refused)
    assert home.lifecycle.trust.peers.global_key == b""
    assert not home.lifecycle.trust.enrolled
    await town.stop()
    await false.stop()


async def test_a_global_server_that_was_set_back_names_nobody_as_somebody_else(town: Town) -> None:
    """It has forgotten ann of h1, and has given her handle, and then her number, to others. The home says so."""
    home, ann = town.homes["h1"], town.person("ann", "h1")
    await ann.opens()
    town.people[9] = Person(town, 9, "ann", "h2")
    with pytest.raises(Unavailable, match="to two people"):
        await home.lifecycle.global_client.user(9)
    assert home.given_twice == 1
    (warning,) = [warning for warning in home.warnings() if "to two people" in warning]
    assert warning.startswith("1 times somebody came under a number or a handle")
