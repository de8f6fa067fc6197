"""`flash audit verify` as people and programs meet it: one line per finding, and an exit code that can be trusted."""

import json
import shutil
from pathlib import Path

import pytest

from clients.command_line.running import run
from flash.cli import people
from tests.servers.genuine import Forger, make, move_times_in_history


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("genuine"))


@pytest.fixture
def data(genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("FLASH_STORE_URL", "FLASH_BROKER_URL", "FLASH_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)
    return shutil.copytree(genuine, tmp_path / "data")


def verify(*arguments: object) -> int:
    return run(people(), ["audit", "verify", *map(str, arguments)])


def test_an_honest_installation(data, capsys):
    assert verify("--data", data) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith("honest")] == ["global: honest", "h1: honest"]
    assert "not yet sealed: 1 (of them seals: 1)" in lines[0]
    assert all(name in lines[-2] for name in ("its own seals", "the Global Server's copies", "the history", "the history's seals"))
    assert not [line for line in lines if "not asked" in line]


def test_a_finding_is_one_line_with_the_place_and_who_says_so_and_never_what_was_written(data, capsys):
    forger = Forger(data)
    position = forger.position("user.message_sent", 4)
    forger.rewrite(position, lambda event: event.update(text="I never said that"))
    assert verify("--data", data, "h1") == 1
    out = capsys.readouterr().out
    assert f"h1: changed: position {position} (user-1 v" in out
    assert ", user.message_sent); says its own seals, the Global Server's copies, the history, the history's seals" in out
    assert out.splitlines()[-1] == "h1: TAMPERED WITH, findings: 1"
    assert "never said" not in out


def test_programs_get_json(data, capsys):
    forger = Forger(data)
    position = forger.position("user.message_sent", 4)
    forger.do("DELETE FROM stored_events WHERE rowid = ?", position)
    assert verify("--data", data, "--json") == 1
    told = {report["server"]: report for report in map(json.loads, capsys.readouterr().out.splitlines())}
    assert told["global"]["honest"] is True
    assert told["h1"]["honest"] is False
    assert [(f["kind"], f["position"], f["to"], f["was"]) for f in told["h1"]["findings"]] == [("removed", position, position, None)]
    assert told["h1"]["witnesses"][0]["name"] == "its own seals"


def test_who_could_not_be_asked_is_said(data, capsys):
    (data / "global.db").unlink()
    assert verify("--data", data, "h1", "--no-history") == 0
    assert "not asked: the Global Server's copies, the history" in capsys.readouterr().out


def test_stores_lie_wherever_one_says(data, tmp_path, capsys):
    for name in ("h1", "global"):
        shutil.move(data / f"{name}.db", tmp_path / f"elsewhere-{name}.db")
    urls = [f"sqlite:///{tmp_path}/elsewhere-{name}.db" for name in ("h1", "global")]
    assert verify("h1", "--data", data, "--store", urls[0], "--global-store", urls[1]) == 0
    assert "not asked: the keys (the keys in" in capsys.readouterr().out  # they lie beside the store, unless FLASH_KEYS_URL says where


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--store", "sqlite:///x.db"], "name the one server"),
        (["h9"], "h9.db cannot be opened"),
        (["h1", "--store", "mysql://x"], "not a store URL"),
        (["h1", "--frob"], "--frob"),
    ],
)
def test_what_cannot_be_verified_is_neither_honest_nor_tampered_with(data, capsys, arguments, says):
    assert verify("--data", data, *arguments) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert told.out == ""


def test_an_empty_directory_is_bad_usage(data, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert verify("--data", tmp_path / "empty") == 2
    assert "there is no server's store in" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["h1", "global"])
@pytest.mark.parametrize("how", ["deleted", "overwritten"])
def test_a_database_that_is_missing_is_a_finding(data, capsys, name, how):
    """On 79ccbf3 the other servers were called honest, exit code 0, and nobody spoke of the one that was gone."""
    (data / f"{name}.db").unlink()
    if how == "overwritten":
        (data / f"{name}.db").write_bytes(b"not a database" * 100)
    assert verify("--data", data) == 1
    out = capsys.readouterr().out
    assert f"{name}: missing: positions 1 to" in out
    assert "there is no log, or it cannot be read); says its keys" in out
    assert "the history" in next(line for line in out.splitlines() if f"{name}: missing" in line)
    assert verify("--data", data, name, "--json") == 1
    (told,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (told["server"], told["honest"], told["findings"][0]["kind"]) == (name, False, "missing")


def test_a_database_that_is_missing_with_the_history_leaves_traces(data, capsys):
    for name in ("h1.db", "broker.db"):
        (data / name).unlink()
    assert verify("--data", data) == 1
    assert "h1: missing: position 1 (there is no log, or it cannot be read); says its keys" in capsys.readouterr().out


def test_a_file_of_keys_that_is_gone_is_a_finding_where_the_server_has_worked(data, capsys):
    (data / "keys" / "h1.db").unlink()
    assert verify("--data", data, "h1") == 0
    assert "not asked: the keys (" in capsys.readouterr().out  # as in a copy of the events alone
    (data / "h1.lock").touch()
    assert verify("--data", data, "h1") == 1
    assert "the key of user 1 was deleted, and not destroyed" in capsys.readouterr().out


def test_the_time_outside_the_sealed_bytes_was_moved(data, capsys):
    """On 79ccbf3 the audit showed the event a year early, and the history was called honest."""
    moved = move_times_in_history(data, "user.message_sent", 3, -365 * 86_400)
    assert verify("--data", data, "h1") == 1
    out = capsys.readouterr().out
    assert f"h1: time: position {moved} (user-1 v" in out
    assert "the history says -31536000.000000 s outside the sealed bytes" in out
