"""The popup client with `--direct`: popups come and go directly, each once, and nothing else is different."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import clients.tk.program
from clients.tk.app import app
from clients.tk.model.inputs import CloseMessage
from clients.tk.model.values import SentState
from clients.tk.program import Options
from flash_sdk import Accepted, DirectTimeouts, FlashClient
from tests.clients.tk.engine.person import BRISK, Person
from tests.clients.tk.servers import RunningServer

MAX_TRIES = 50  # a tenth of them is more than enough


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "servers", FLASH_DIRECT_NETWORKS="127.0.0.0/8") as server:
        yield server


@pytest.fixture
def taken() -> list[bool]:
    """For each popup that was sent with a ticket, whether its recipient took it."""
    return []


def noting(taken: list[bool]) -> Callable[[str], FlashClient]:
    """Makes clients that note what became of their popups. They ask for a ticket each time, because the first popup may be too early."""

    class Noting(FlashClient):
        async def send(self, *args: Any, **options: Any) -> Accepted:
            accepted = await super().send(*args, **options)
            if options.get("direct"):
                taken.append(accepted.direct)
            return accepted

    return lambda server: Noting(server, pace=BRISK, direct_timeouts=DirectTimeouts(no_route_s=0.0))


def test_popups_come_and_go_directly(servers: RunningServer, tmp_path: Path, taken: list[bool]) -> None:
    with (
        Person(tmp_path / "ann", servers.url, direct=True, connect=noting(taken)) as ann,
        Person(tmp_path / "bob", servers.url, direct=True) as bob,
    ):
        ann.signs_in("ann")
        bob.signs_in("bob")
        ann.see(lambda: ann.model.connection.direct)
        bob.see(lambda: bob.model.connection.direct)
        to_bob = ann.adds("bob")
        ann.see(lambda: ann.model.row(to_bob).status == "online")
        sent: list[str] = []
        while True not in taken:  # the homes need a moment to know each other's users
            assert len(sent) < MAX_TRIES
            sent.append(ann.writes(to_bob, "pop over?"))
            bob.see(lambda: bob.model.message((ann.uid, sent[-1])))
            ann.see(lambda: ann.state(sent[-1]) is SentState.DELIVERED)
        last = (ann.uid, sent[-1])
        bob.do(CloseMessage(last))
        ann.see(lambda: ann.state(sent[-1]) is SentState.DONE)
        answer = bob.writes(ann.uid, "in a minute", answers=last)
        ann.see(lambda: ann.model.message((bob.uid, answer)))
        bob.see(lambda: bob.state(answer) is SentState.DELIVERED)
        assert len(bob.reads(ann.uid)) == len(sent)
        assert ann.reads(bob.uid) == ["in a minute"]


def test_without_it_nothing_is_handed_over(servers: RunningServer, tmp_path: Path, taken: list[bool]) -> None:
    with Person(tmp_path / "ann", servers.url, connect=noting(taken)) as ann, Person(tmp_path / "bob", servers.url, direct=True) as bob:
        ann.signs_in("ann")
        bob.signs_in("bob")
        sent = ann.writes(ann.adds("bob"), "pop over?")
        ann.see(lambda: ann.state(sent) is SentState.DELIVERED)
        assert (taken, ann.model.connection.line(datetime.now(UTC))) == ([], "connected")


@pytest.mark.parametrize(("arguments", "direct"), [([], False), (["--direct"], True)])
def test_the_option(monkeypatch: pytest.MonkeyPatch, arguments: list[str], direct: bool) -> None:
    started: list[Options] = []
    monkeypatch.setattr(clients.tk.program, "run", started.append)
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert [options.direct for options in started] == [direct]
