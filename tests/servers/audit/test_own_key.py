"""The audit's own key lies with the keys of people, and is made once."""

from pathlib import Path

from servers.audit.own_key import FILE, SIZE, own_key


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    key = own_key(tmp_path / "keys")
    assert len(key) == SIZE
    assert own_key(tmp_path / "keys") == key
    assert [path.name for path in (tmp_path / "keys").iterdir()] == [FILE]
    assert (tmp_path / "keys" / FILE).stat().st_mode & 0o077 == 0


def test_who_can_make_none_has_none(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("no directory")
    assert own_key(tmp_path / "keys") == b""
