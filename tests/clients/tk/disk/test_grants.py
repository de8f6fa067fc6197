"""The remembered grant. Rule: no test touches the keyring of the person who runs it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.tk.disk.grants import Grants
from flash_sdk import Grant, Home

SERVER = "http://flash.example/"


def grant(handle: str = "ann", *, days: float = 30) -> Grant:
    return Grant(1, handle, Home("h1", "http://h1"), datetime.now(UTC) + timedelta(days=days), "secret", "secret-too")


class Ring:
    """A keyring."""

    priority = 5

    def __init__(self, *, locked: bool = False) -> None:
        self.secrets: dict[tuple[str, str], str] = {}
        self.locked = locked

    def set_password(self, service: str, account: str, secret: str) -> None:
        if self.locked:
            raise RuntimeError("the keyring is locked")
        self.secrets[service, account] = secret

    def get_password(self, service: str, account: str) -> str | None:
        return self.secrets.get((service, account))

    def delete_password(self, service: str, account: str) -> None:
        del self.secrets[service, account]

    def get_keyring(self) -> "Ring":
        return self


def test_without_a_keyring_it_is_a_file_of_its_owner(tmp_path: Path) -> None:
    kept = grant()
    Grants(tmp_path, use_keyring=False).keep(SERVER, kept)
    last = Grants(tmp_path, use_keyring=False).last()
    assert last is not None
    assert last.grant == kept
    (file,) = (tmp_path / "grants").rglob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    Grants(tmp_path, use_keyring=False).forget(SERVER, "ann")
    last = Grants(tmp_path, use_keyring=False).last()
    assert last is not None
    assert (last.handle, last.grant) == ("ann", None)


def test_with_a_keyring_no_file_holds_the_token(tmp_path: Path) -> None:
    ring = Ring()
    Grants(tmp_path, ring=ring).keep(SERVER, grant())
    assert list(ring.secrets) == [("flash", "ann at http://flash.example")]
    assert not any("secret" in path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    last = Grants(tmp_path, ring=ring).last()
    assert last is not None
    assert last.grant is not None
    Grants(tmp_path, ring=ring).forget(SERVER, "ann")
    assert ring.secrets == {}


def test_a_locked_keyring_leaves_it_to_the_file(tmp_path: Path) -> None:
    store = Grants(tmp_path, ring=Ring(locked=True))
    store.keep(SERVER, grant())
    last = store.last()
    assert last is not None
    assert last.grant is not None


def test_several_users_are_told_apart_and_an_old_grant_is_none(tmp_path: Path) -> None:
    store = Grants(tmp_path, use_keyring=False)
    store.keep(SERVER, grant("ann"))
    store.keep(SERVER, grant("bob", days=-1))
    last = store.last()
    assert last is not None
    assert (last.handle, last.grant) == ("bob", None)
    assert store.find(SERVER, "ANN").grant is not None
    assert store.find("http://other", "ann").grant is None


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"server": 7}', b"\xff\xfe"])
def test_a_damaged_memory_is_none(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "signed-in.json").write_bytes(raw)
    assert Grants(tmp_path, use_keyring=False).last() is None
