"""The small parts of the windows that can be tried alone: words, pictures, remembered places, and what is said when Tk is missing."""

import json
import os
import signal
import subprocess
import sys
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.tk.demo import can_open_windows, open_client
from clients.tk.model.values import MAX_TEXT_CHARACTERS, ContactRow
from clients.tk.views import shapes, words
from clients.tk.views.remembered import Remembered
from tests.clients.tk.servers import RunningServer
from tests.clients.tk.windows.conftest import Friend
from tests.clients.tk.windows.person import ROOT
from tests.support.display import Display
from tests.support.waiting import eventually, wait_until

NOW = datetime(2030, 6, 12, 14, 3, tzinfo=UTC)
SCREEN = (1280, 800)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("see https://flash.example/notes (draft).", ["https://flash.example/notes"]),
        ("(https://flash.example/a_(b)), and HTTP://x.example!", ["https://flash.example/a_(b)", "HTTP://x.example"]),
        ("write to mailto:ann@flash.example; or not", ["mailto:ann@flash.example"]),
        ("file:///etc/passwd javascript:alert(1) ftp://x", []),
        ("nothing here", []),
    ],
)
def test_links_are_only_what_a_browser_may_open(text: str, addresses: list[str]) -> None:
    found = words.links(text)
    assert [address for _, _, address in found] == addresses
    assert all(text[start:end] == address for start, end, address in found)


def test_moments_are_said_as_briefly_as_they_stay_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    assert words.clock(NOW, NOW) == f"{NOW.astimezone():%H:%M}"
    assert words.clock(NOW - timedelta(days=2), NOW).startswith("Mon ")
    assert words.clock(NOW - timedelta(days=40), NOW).startswith("3 May ")
    assert words.clock(NOW - timedelta(days=400), NOW) == "8 May 2029"


def test_nothing_is_known_of_when_somebody_unknown_was_there() -> None:
    row = ContactRow(2, "bob", status="unknown", since=NOW)
    assert words.presence(row, NOW) == "unknown"
    assert words.presence(ContactRow(2, "bob", status="away", since=NOW, note="at\nlunch"), NOW).endswith(" · at lunch")


def test_the_count_says_what_is_left_and_what_is_too_much() -> None:
    assert words.count("   ") == (f"3 / {MAX_TEXT_CHARACTERS}", False)
    assert words.count("x" * (MAX_TEXT_CHARACTERS - 1)) == ("1 left", True)
    assert words.count("x" * (MAX_TEXT_CHARACTERS + 2)) == ("2 characters too many", False)


def test_initials_are_made_of_whatever_a_name_is() -> None:
    assert [words.initials(name) for name in ("Ann Archer", "bob", "j.r.r", "", "…")] == ["AA", "B", "JR", "?", "…"]


def test_a_picture_is_a_png_with_smooth_edges() -> None:
    raw = shapes.picture([(shapes.disc, "#ff0000"), (shapes.within(shapes.bolt, 0.2), "#ffffff")], 16, 16)
    assert raw.startswith(b"\x89PNG")
    at = raw.index(b"IDAT")
    pixels = zlib.decompress(raw[at + 4 : at + 4 + int.from_bytes(raw[at - 4 : at], "big")])
    alphas = {pixels[row * 65 + 1 + column * 4 + 3] for row in range(16) for column in range(16)}
    assert {0, 255} < alphas


def test_windows_stand_where_they_stood_if_that_is_still_on_the_screen(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "windows.json"
    first = Remembered(file)
    assert first.geometry("main", SCREEN, (340, 600)) == "340x600"
    first.place("main", "300x500+900+100")
    first.place("far", "300x500+5000+-900")
    first.place("odd", "nonsense")
    first.choose_theme("dark")
    other = Remembered(file)  # another client of this person, started before the first one wrote
    first.close()
    other.place("ann:inbox", "640x480+1+2")
    other.close()
    again = Remembered(file)
    assert again.theme == "dark"
    assert again.geometry("main", SCREEN, (340, 600)) == "300x500+900+100"
    assert again.geometry("far", SCREEN, (340, 600)) == "300x500+1232+0"
    assert again.geometry("odd", SCREEN, (340, 600)) == "340x600"
    assert again.geometry("ann:inbox", SCREEN, (1, 1)) == "640x480+1+2"
    again.close()
    assert file.stat().st_mode & 0o077 == 0 or file.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damaged", ["", "[]", '{"windows": 3, "theme": "pink"}', "\x00"])
def test_what_cannot_be_read_is_as_at_the_first_start(tmp_path: Path, damaged: str) -> None:
    file = tmp_path / "windows.json"
    file.write_text(damaged)
    kept = Remembered(file)
    assert kept.theme == "system"
    assert kept.geometry("main", SCREEN, (340, 600)) == "340x600"
    kept.place("main", "300x500+1+1")
    kept.close()
    assert json.loads(file.read_text())["windows"] == {"main": "300x500+1+1"}


def started(tmp_path: Path, code: str, **environment: str) -> tuple[int, str]:
    """Run Python code as a program of its own: its exit code and what it said on standard error."""
    kept = {name: value for name, value in os.environ.items() if name != "DISPLAY" and not name.startswith("FLASH_")}
    mine = {"PYTHONPATH": str(ROOT), "FLASH_CONFIG_DIR": str(tmp_path), "FLASH_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | mine | environment, capture_output=True, timeout=60, cwd=ROOT, check=False
    )
    return done.returncode, done.stderr.decode()


def test_without_tk_it_says_what_to_install(tmp_path: Path) -> None:
    code, said = started(tmp_path, "import sys; sys.modules['_tkinter'] = None; from clients.tk.app import app; app([])")
    assert code == 1
    assert "apt-get install python3-tk" in said
    assert "Traceback" not in said


def test_without_a_display_it_says_so(tmp_path: Path) -> None:
    code, said = started(tmp_path, "from clients.tk.app import app; app([])")
    assert code == 1
    assert "no display" in said
    assert "Traceback" not in said


def test_asked_to_end_it_ends_in_order(tmp_path: Path, screen: Display) -> None:
    environment = screen.environment | {"PYTHONPATH": str(ROOT), "FLASH_CONFIG_DIR": str(tmp_path), "FLASH_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "clients.tk", "--no-keyring", "--server", "http://127.0.0.1:9"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, cwd=ROOT)
    try:
        wait_until(lambda: screen.run("xdotool", "search", "--onlyvisible", "--name", "^Flash$"), 30, "its window")
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=20)[1]
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, said) == (0, b"")
    assert (tmp_path / "tk" / "windows.json").exists()


async def test_the_demo_opens_a_client_that_is_signed_in(
    tmp_path: Path, screen: Display, friend: Friend, flash_servers: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await friend("ann")
    for name, value in screen.environment.items():
        monkeypatch.setenv(name, value)
    assert can_open_windows()
    process = open_client(flash_servers.url, ann.grant, tmp_path)
    try:
        await eventually(lambda: screen.run("xdotool", "search", "--onlyvisible", "--name", f"^Flash - {ann.grant.handle}$"), 30)
        process.terminate()
        await eventually(lambda: process.poll() is not None, 20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    monkeypatch.delenv("DISPLAY")
    assert not can_open_windows()
