"""What is kept on this machine. Rule: every test reads through a second opening of the file, as after a kill."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flash_sdk as sdk
from clients.tk.disk.messages import NEWEST, PAGE, Storage
from clients.tk.disk.schema import AlreadyOpen, Unusable, file_of
from clients.tk.model.inputs import ContactWish
from clients.tk.model.values import Account, OwnStatus, Received, Sent, SentState
from flash_sdk.seen import key_of

NOON = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)
ANN = Account("http://flash.example", 1, "ann")
BOB = 2

Reopen = Callable[[], Storage]


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Reopen]:
    """Close the file, if it is open, and open it again."""
    storages: list[Storage] = []

    def again() -> Storage:
        if storages:
            storages.pop().close()
        storages.append(Storage(tmp_path, ANN))
        return storages[-1]

    yield again
    if storages:
        storages.pop().close()


def message(id: str, text: str = "hi", uid: int = BOB, **more: object) -> sdk.Message:
    values = {"in_reply_to": None, "urgent": False} | more
    return sdk.Message(1, id, sdk.Sender(uid, "bob", "Bob"), text, NOON, **values)  # type: ignore[arg-type]


def test_a_message_is_kept_once_with_all_it_says(reopen: Reopen) -> None:
    assert reopen().received(message("a", "line\none \N{GRINNING FACE}", in_reply_to="q", urgent=True))
    storage = reopen()
    assert not storage.received(message("a", "other"))
    assert storage.received(message("a", uid=3))  # another sender's id may be the same
    state = storage.load()
    assert state.entries[0] == Received((BOB, "a"), "bob", "Bob", "line\none \N{GRINNING FACE}", NOON, "q", True)
    assert state.unshown == {(BOB, "a"), (3, "a")}
    assert (BOB, "bob", "Bob") in state.people


def test_what_is_kept_was_seen(reopen: Reopen) -> None:
    reopen().received(message("a"))
    storage = reopen()
    assert key_of(BOB, "a") in storage
    assert key_of(BOB, "b") not in storage


def test_done_is_kept_and_told_once(reopen: Reopen) -> None:
    storage = reopen()
    for id in ("a", "b"):
        storage.received(message(id))
    storage.done((BOB, "a"), tell=True)
    storage.done((BOB, "b"), tell=False)
    storage = reopen()
    assert storage.untold() == [(BOB, "a")]
    assert storage.load().unshown == frozenset()
    assert not any(entry.open for entry in storage.load().entries if isinstance(entry, Received))
    storage.told((BOB, "a"))
    storage.done((BOB, "a"), tell=True)  # a second click
    assert reopen().untold() == []


def test_shown_and_read_are_kept(reopen: Reopen) -> None:
    storage = reopen()
    for id in ("a", "b"):
        storage.received(message(id))
    storage.shown([(BOB, "a")])
    storage = reopen()
    assert storage.load().unshown == {(BOB, "b")}
    storage.read(BOB)
    assert reopen().load().unshown == frozenset()
    assert all(entry.read and entry.open for entry in reopen().load().entries if isinstance(entry, Received))


def test_the_outbox_outlives_everything_and_keeps_its_order(reopen: Reopen) -> None:
    storage = reopen()
    written = [Sent(f"s{n}", BOB, f"number {n}", NOON, state=SentState.WAITING) for n in range(3)]
    for each in [*written, written[0]]:
        storage.wrote(each)
    storage = reopen()
    assert storage.outbox() == written
    storage.reached("s1", SentState.ACCEPTED)
    storage.reached("s2", SentState.BOUNCED, "their mailbox is full")
    storage = reopen()
    assert storage.outbox() == written[:1]
    assert storage.load().entries[2] == replace(written[2], state=SentState.BOUNCED, why="their mailbox is full")


@settings(deadline=None)  # each example waits for the disk
@given(st.permutations([state for state in SentState if state != SentState.SAVING] * 2))
def test_a_state_never_goes_backwards(tmp_path_factory: pytest.TempPathFactory, states: list[SentState]) -> None:
    storage = Storage(tmp_path_factory.mktemp("file"), ANN)
    storage.wrote(Sent("s", BOB, "hi", NOON))
    so_far = SentState.WAITING
    for state in states:
        storage.reached("s", state)
        so_far = max(so_far, state)
        (entry,) = storage.load().entries
        assert isinstance(entry, Sent)
        assert entry.state is so_far
    storage.close()


def test_the_newest_of_each_conversation_and_back_to_what_is_open(reopen: Reopen) -> None:
    storage = reopen()
    for n in range(NEWEST * 3):
        storage.received(message(f"m{n}"))
        storage.done((BOB, f"m{n}"), tell=False)
    assert [entry.id for entry in storage.load().entries] == [f"m{n}" for n in range(NEWEST * 2, NEWEST * 3)]
    assert storage.load().older == {BOB}
    page = storage.older(BOB, storage.load().entries[0])
    assert [entry.id for entry in page] == [f"m{n}" for n in range(NEWEST * 2 - PAGE, NEWEST * 2)]
    storage.wrote(Sent("s", 3, "still waiting", NOON))
    for n in range(NEWEST * 2):
        storage.received(message(f"c{n}", uid=3))
        storage.done((3, f"c{n}"), tell=False)
    assert [entry.id for entry in reopen().load().entries if isinstance(entry, Sent)] == ["s"]
    assert reopen().load().older == {BOB}, "all of the other conversation is there"


def test_search_takes_all_words_by_prefix_without_case_and_accents(reopen: Reopen) -> None:
    storage = reopen()
    storage.received(message("a", "Le café est fermé"))
    storage.wrote(Sent("s", 3, "CAFETERIA at noon?", NOON))
    assert {entry.id for entry in storage.search("cafe", None)} == {"a", "s"}
    assert [entry.id for entry in storage.search("cafe ferme", None)] == ["a"]
    assert [entry.id for entry in storage.search("caf", 3)] == ["s"]
    assert storage.search('" OR x* NEAR(', None) == ()
    assert storage.search("  ", None) == ()


def test_the_list_wishes_and_my_status_are_kept(reopen: Reopen) -> None:
    storage = reopen()
    bob = sdk.Contact(BOB, "bob", "Bob", "Bobby", True, sdk.Status("online", NOON))
    wish = ContactWish(3, "carol", "Carol", None, False, listed=False, not_before=NOON)
    storage.lists.told([bob])
    storage.lists.wish(wish)
    storage.lists.put_status(OwnStatus("dnd", "busy", NOON + timedelta(hours=1), saved=False))
    storage = reopen()
    state = storage.load()
    assert state.contacts == (replace(bob, presence=sdk.Status("unknown")),)
    assert state.wishes == (wish,)
    assert state.status == OwnStatus("dnd", "busy", NOON + timedelta(hours=1), saved=False)
    newer = replace(wish, listed=True, not_before=None)
    storage.lists.wish(newer)
    storage.lists.settled(wish)  # the answer to the older one
    assert reopen().load().wishes == (newer,)
    reopen().lists.settled(newer)
    assert reopen().load().wishes == ()


def test_the_file_is_its_owners_and_one_clients(reopen: Reopen, tmp_path: Path) -> None:
    reopen().received(message("a"))
    path = file_of(tmp_path, ANN.server, ANN.uid)
    assert {each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(AlreadyOpen):
        Storage(tmp_path, ANN)


@pytest.mark.parametrize("spoil", ["garbage", "newer", "folder"])
def test_a_file_that_cannot_be_used_says_so(tmp_path: Path, spoil: str) -> None:
    path = file_of(tmp_path, ANN.server, ANN.uid)
    path.parent.mkdir(parents=True)
    if spoil == "garbage":
        path.write_bytes(os.urandom(4096))
    elif spoil == "newer":
        database = sqlite3.connect(path)
        database.execute("PRAGMA user_version = 99")
        database.close()
    else:
        path.mkdir()
    with pytest.raises(Unusable):
        Storage(tmp_path, ANN)
