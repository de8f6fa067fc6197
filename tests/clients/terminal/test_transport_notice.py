"""What `flash listen` says of the way popups come. Rule: the usual way goes without saying."""

import pytest

from clients.terminal.listening import Window
from flash_sdk import Connected, Disconnected


def test_it_says_so_when_popups_come_by_another_way(capsys: pytest.CaptureFixture[str]) -> None:
    window = Window()
    window.show(Connected())
    window.show(Disconnected("held", 0.4))
    window.show(Connected("poll"))
    window.show(Connected("poll"))
    window.show(Disconnected("better", 0.4))
    window.show(Connected("multipart"))
    shown = capsys.readouterr()
    said = [line.partition(" * ")[2] for line in shown.out.splitlines()]
    assert said == ["this network holds streams back: popups come by long polls", "popups come at once again, on one connection"]
    assert "this network holds the stream back; trying again in 0 s" in shown.err
