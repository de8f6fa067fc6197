"""Bad usage ends with 2 and one clear line, before anything is sent anywhere."""

import io
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.command_line.running import BadUsage, run
from clients.terminal.app import app
from clients.terminal.grants import Grants
from flash_sdk import Grant, Home

SERVER = "http://127.0.0.1:9"
TOMORROW = datetime.now(UTC) + timedelta(days=1)


def grant(handle: str, expires_at: datetime = TOMORROW) -> Grant:
    return Grant(1, handle, Home("h1", SERVER), expires_at, "secret-token", "secret-token-too")


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLASH_CONFIG_DIR", str(tmp_path))
    monkeypatch.delenv("FLASH_PASSWORD", raising=False)
    monkeypatch.setenv("FLASH_SERVER", SERVER)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["send"], "argument 'handle'"),
        (["send", "bob"], "argument 'text'"),
        (["send", "bob", "hi"], "nobody is logged in"),
        (["send", "bob", "hi", "--as", "../ann"], "../ann is not logged in"),
        (["send", "bob", "hi", "--loud"], "--loud"),
        (["status", "asleep"], "'asleep' is not one of"),
        (["user", "find"], "say what to search for"),
        (["user", "find", "--field", "shoe_size=42"], "full_name"),
        (["user", "add", "ann", "--server", "localhost"], "'localhost' is not a server's URL"),
        (["contacts", "--as", "ann", "remove", "bob"], "put the options after `remove`"),
        (["dance"], "No such command 'dance'"),
    ],
)
def test_bad_usage_is_one_line(line: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, line) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.startswith("flash: ")
    assert printed.err.count("\n") == 1


def test_a_password_that_nobody_can_type_is_asked_for_by_name(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(app, ["login", "ann"]) == 2
    assert "FLASH_PASSWORD" in capsys.readouterr().err


def test_grants_are_for_their_owner_only(settings: Path) -> None:
    Grants(SERVER).keep(grant("ann"), current=True)
    files = [path for path in settings.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in settings.iterdir()} == {0o700}


def test_the_first_and_then_the_last_login_is_meant(settings: Path) -> None:
    grants = Grants(SERVER + "/", settings)
    grants.keep(grant("ann"), current=False)
    grants.keep(grant("bob"), current=False)
    assert Grants(SERVER, settings).get(None) == grant("ann")
    grants.keep(grant("bob"), current=True)
    assert grants.get(None).handle == "bob"
    assert grants.get("ANN").handle == "ann"


def test_each_server_has_its_own(settings: Path) -> None:
    Grants(SERVER, settings).keep(grant("ann"), current=True)
    with pytest.raises(BadUsage, match="nobody is logged in"):
        Grants("http://other", settings).get(None)


def test_a_hostile_handle_stays_in_its_folder(settings: Path) -> None:
    Grants(SERVER, settings).keep(grant("../../../etc/x"), current=True)
    assert [path.parent.parent for path in settings.rglob("*.json")] == [settings]


def test_expired_and_damaged_grants_say_so(settings: Path) -> None:
    grants = Grants(SERVER, settings)
    grants.keep(grant("ann", datetime(2020, 1, 1, tzinfo=UTC)), current=True)
    with pytest.raises(BadUsage, match="expired"):
        grants.get(None)
    for path in settings.rglob("*.json"):
        path.write_text('{"uid": 1}')
    with pytest.raises(BadUsage, match="damaged"):
        grants.get("ann")


@pytest.mark.parametrize("line", [["-h"], ["send", "-h"], ["contacts", "add", "-h"], ["user", "--help"]])
def test_help_has_a_short_option_everywhere(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, line) == 0
    printed = capsys.readouterr()
    assert "Usage" in printed.out
    assert printed.err == ""
