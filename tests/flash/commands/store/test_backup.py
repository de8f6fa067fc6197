"""`flash store backup` and `restore` as ops type them, on the files of `flash serve`: a whole installation is lost with its broker."""

import asyncio
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from clients.command_line.running import run
from flash.cli import people
from servers.encryption.key_store import KeyStore
from servers.encryption.key_tables import SqliteKeys
from servers.writing.projector import write_checkpoint
from tests.servers.genuine import make
from tests.servers.homes import Town


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("genuine"))


@pytest.fixture
def data(genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("FLASH_STORE_URL", "FLASH_BROKER_URL", "FLASH_DATA_DIR", "FLASH_KEYS_URL", "FLASH_SIGNING_KEY_FILE"):
        monkeypatch.delenv(variable, raising=False)
    return shutil.copytree(genuine, tmp_path / "data")


def flash(*arguments: object) -> int:
    return run(people(), ["store", *map(str, arguments)])


def test_a_whole_installation_is_lost_and_put_back_with_its_broker(data, tmp_path, capsys):
    saved, keys = tmp_path / "saved", tmp_path / "elsewhere"
    signing_key = (data / "global" / "signing-key.pem").read_bytes()
    assert flash("backup", saved, "--keys", keys, "--data", data) == 0
    assert {path.name for path in saved.iterdir()} == {"global.db", "h1.db", "broker.db"}
    assert {path.name for path in keys.iterdir()} == {"global.db", "h1.db", "signing-key.pem"}
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}
    shutil.rmtree(data)

    assert flash("restore", saved, "--keys", keys, "--data", data) == 0
    told = capsys.readouterr()
    assert not told.err
    assert "the embedded broker: put back" in told.out
    assert (data / "global" / "signing-key.pem").read_bytes() == signing_key
    assert run(people(), ["audit", "verify", "--data", str(data)]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.endswith(" honest")] == ["global: honest", "h1: honest"]
    (data / "h1" / "presence.projection").unlink(missing_ok=True)
    assert run(people(), ["projections", "rebuild", "h1", "--data", str(data)]) == 0


def test_checkpoints_of_the_lost_life_are_thrown_away(data, tmp_path):
    saved = tmp_path / "saved"
    assert flash("backup", saved, "--data", data) == 0
    assert (data / "h1" / "presence.projection").exists()
    for path in data.glob("h1.db*"):
        path.unlink()
    assert flash("restore", saved, "h1", "--data", data) == 0
    assert not (data / "h1" / "presence.projection").exists()


@pytest.mark.parametrize("command", ["restore", "copy"])
async def test_a_projection_of_the_lost_life_destroys_no_key(data, tmp_path, monkeypatch, command):
    """The former life had closed Ann's account, after the backup was made and before the history heard of it."""
    saved = tmp_path / "saved"
    assert await asyncio.to_thread(flash, "backup", saved, "h1", "--data", data) == 0
    with closing(KeyStore(SqliteKeys(data / "keys" / "h1.db"))) as own:
        write_checkpoint(data / "h1" / "closed.projection", {"format": 1, "position": 5, "uids": [1]}, own)
    for path in [*data.glob("h1.db*"), *data.glob("keys/h1.db*")]:
        path.unlink()
    if command == "restore":
        assert await asyncio.to_thread(flash, "restore", saved, "h1", "--data", data) == 0
    else:
        monkeypatch.setenv("FLASH_DATA_DIR", str(data))
        assert await asyncio.to_thread(flash, "copy", "h1", f"sqlite:///{saved}/h1.db", f"sqlite:///{data}/h1.db") == 0
    town = Town(data)
    await town.opens("h1")
    await town.stop()
    with closing(SqliteKeys(data / "keys" / "h1.db")) as keys:
        assert keys.read((1,))[1] is not None


def test_keys_alone_are_soon_saved(data, tmp_path, capsys):
    assert flash("backup", tmp_path / "saved", "--only-keys", "--data", data) == 0
    assert {path.name for path in (tmp_path / "saved").rglob("*")} == {"keys", "global.db", "h1.db", "signing-key.pem"}
    assert "events" not in capsys.readouterr().out


def test_a_signing_key_elsewhere_is_saved_and_put_back_there(data, tmp_path, monkeypatch):
    key = tmp_path / "shared" / "signing.pem"
    key.parent.mkdir()
    (data / "global" / "signing-key.pem").rename(key)
    monkeypatch.setenv("FLASH_SIGNING_KEY_FILE", str(key))
    assert flash("backup", tmp_path / "saved", "global", "--data", data) == 0
    pem = key.read_bytes()
    key.unlink()
    for path in data.glob("global.db*"):
        path.unlink()
    assert flash("restore", tmp_path / "saved", "global", "--data", data) == 0
    assert key.read_bytes() == pem
    assert not (data / "global" / "signing-key.pem").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["backup", "SAVED", "h9"], 1, "h9.db cannot be opened"),
        (["backup", "SAVED", "--data", "EMPTY"], 2, "there is no server's store in"),
        (["restore", "EMPTY"], 2, "there is no server's store in"),
        (["restore", "SAVED"], 1, "is not empty"),
        (["backup", "SAVED"], 1, "is there already"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(data, tmp_path, capsys, arguments, code, says):
    places = {"SAVED": tmp_path / "saved", "EMPTY": tmp_path / "empty"}
    places["EMPTY"].mkdir()
    if code == 1 and "h9" not in arguments:
        assert flash("backup", places["SAVED"], "--data", data) == 0
        capsys.readouterr()
    found = [str(places.get(argument, argument)) for argument in arguments]
    assert flash(*found, *([] if "--data" in arguments else ["--data", data])) == code
    told = capsys.readouterr()
    assert says in told.err
    assert told.err.count("\n") == 1
