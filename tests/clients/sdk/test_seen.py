"""What was shown is remembered over a kill, within bounds, and without saying what it was."""

import stat
from pathlib import Path

from flash_sdk.seen import FileSeen, MemorySeen, key_of

KEYS = [key_of(1, str(n)) for n in range(30)]


def test_it_outlives_a_process_that_never_closed_it(tmp_path: Path) -> None:
    FileSeen(tmp_path / "new folder" / "seen").add(KEYS[0])
    again = FileSeen(tmp_path / "new folder" / "seen")
    assert KEYS[0] in again
    assert KEYS[1] not in again


def test_it_is_for_its_owner_only_and_holds_neither_id_nor_name(tmp_path: Path) -> None:
    FileSeen(tmp_path / "seen").add(key_of(42, "a-very-recognisable-id"))
    assert stat.S_IMODE((tmp_path / "seen").stat().st_mode) == 0o600
    assert b"recognisable" not in (tmp_path / "seen").read_bytes()


def test_the_file_and_the_memory_are_bounded(tmp_path: Path) -> None:
    seen = FileSeen(tmp_path / "seen", remembered=5)
    for key in KEYS:
        seen.add(key)
    assert len(seen) == 5
    assert (tmp_path / "seen").stat().st_size <= 11 * 33
    again = FileSeen(tmp_path / "seen", remembered=5)
    assert [key in again for key in KEYS] == [False] * 25 + [True] * 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["seen"]


def test_a_torn_line_spoils_nothing_but_itself(tmp_path: Path) -> None:
    FileSeen(tmp_path / "seen").add(KEYS[0])
    with (tmp_path / "seen").open("ab") as file:
        file.write(b"\n" + KEYS[1].encode()[:7])
    FileSeen(tmp_path / "seen").add(KEYS[2])
    again = FileSeen(tmp_path / "seen")
    assert [key in again for key in KEYS[:3]] == [True, False, True]


def test_a_disk_that_refuses_leaves_the_memory(tmp_path: Path) -> None:
    seen = FileSeen(tmp_path / "seen")
    seen.close()
    seen.add(KEYS[0])
    assert KEYS[0] in seen


def test_memory_forgets_the_oldest() -> None:
    seen = MemorySeen(2)
    for key in KEYS[:3]:
        seen.add(key)
    assert list(seen) == KEYS[1:3]
    assert len(seen) == 2


def test_ids_with_lone_surrogates_have_keys_too() -> None:
    assert key_of(1, "\ud800") != key_of(1, "\ud801")
