"""`flash listen --direct` and `flash send --direct` with real homes: what the people at the two terminals read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.terminal.listening import Window
from flash_sdk import Direct
from tests.clients.terminal.conftest import Terminal
from tests.clients.tk.servers import RunningServer

MAX_TRIES = 20  # each takes longer than the homes need to know each other's users


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Terminal]:
    """A terminal in a town that may call it."""
    with RunningServer(tmp_path / "servers", FLASH_DIRECT_NETWORKS="127.0.0.0/8") as servers:
        terminal = Terminal(tmp_path / "config", servers.url)
        yield terminal
        await terminal.close()


async def test_a_popup_is_handed_over_directly_and_shown_once(town: Terminal) -> None:
    for name in ("erin", "ann"):
        assert (await town.run("user", "add", name)).code == 0
    listening = await town.start("listen", "--as", "erin", "--direct")
    said = [(await listening.line()).partition(" * ")[2] for _ in range(2)]
    assert said == ["online; no contacts yet", "your home calls you directly"]
    sent = 0
    directly = False
    while not directly and sent < MAX_TRIES:
        ended = await town.run("send", "erin", f"number {sent}", "--as", "ann", "--direct", "--wait")
        assert (ended.code, ended.out.splitlines()[-1]) == (0, "delivered")
        assert (await listening.line()).endswith(f"] number {sent}")
        directly = ended.out.splitlines()[0].endswith(", and handed over directly")
        sent += 1
    assert directly
    usual = await town.run("send", "erin", "the usual way", "--as", "ann")
    assert "directly" not in usual.out
    assert (await listening.line()).endswith("] the usual way")
    listening.interrupt()
    assert (await listening.end()).code == 0


def test_why_the_home_cannot_call_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    for why in ("no_answer", "a word of tomorrow"):
        Window().show(Direct(active=False, why=why))
    said = [line.partition(" * ")[2] for line in capsys.readouterr().out.splitlines()]
    begin = "your home cannot call you, popups come as usual: "
    assert said == [f"{begin}a firewall keeps it out", f"{begin}a word of tomorrow"]
