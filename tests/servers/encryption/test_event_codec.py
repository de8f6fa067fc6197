"""Personal data is unreadable without its owner's key, wherever it is stored; everything else stays as it was."""

import os
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import msgpack
import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace

from domain.errors import Unavailable
from domain.event import in_stream, stored_fields
from domain.events.home import ContactAdded, MessageSent
from domain.personal import Personal, owners
from servers.encryption.event_codec import EventDecoder, NotDecryptable, decrypt, encrypt
from servers.encryption.key_store import KeysNeeded, KeyStore, NoKeys
from servers.encryption.key_tables import open_keys
from servers.encryption.snapshots import pack_snapshot, unpack_snapshot
from servers.store.event_store import Store
from tests.servers.stores import HOME, NOW, put
from tests.support.postgres import PrivatePostgres, connected
from tests.support.waiting import wait_until

TEXT = "nobody else may read this"


def message(text: str = TEXT, id: str = "m1") -> MessageSent:
    return MessageSent(
        at=NOW, cause=id, id=id, uid=1, handle="ann", name="Ann Lee", to=2, to_home="h2", text=text, in_reply_to=None, urgent=False
    )  # fmt: skip


def contact() -> ContactAdded:
    return ContactAdded(at=NOW, cause="c", uid=2, handle="bob", name="Bob Jones", home="h2", alias="Bobby", notify=False)


@pytest.fixture
def store(url):
    store = Store(url, "h1", HOME)
    yield store
    store.close()


def decoded(decoder: EventDecoder, record, **options):
    return decoder.decode(record.stream, record.version, record.topic, record.data, **options)


def test_a_text_is_stored_encrypted_and_read_whole(store):
    (written,) = put(store, "user-1", 0, [message()])
    assert TEXT.encode() not in written.record.data
    assert b"Ann Lee" not in written.record.data
    assert b"ann" in written.record.data, "who sent something stays known"
    assert store.read(0, 10) == [written]


def test_each_person_has_a_key_of_their_own(store):
    (written,) = put(store, "user-1", 0, [contact()])
    assert owners(written.event) == {1, 2}
    store.keys.destroy(2)
    (read,) = store.read(0, 10)
    assert (read.event.name, read.event.alias, read.event.handle) == ("", "Bobby", "bob")
    store.keys.destroy(1)
    (read,) = store.read(0, 10)
    assert (read.event.name, read.event.alias) == ("", None)
    assert read.record.data == written.record.data, "stored bytes never change"


def test_a_destroyed_key_stays_destroyed(store):
    put(store, "user-1", 0, [message()])
    store.keys.destroy(1)
    store.keys.destroy(1)
    (late,) = put(store, "user-1", 1, [message("too late", "m2")])
    assert b"too late" not in late.record.data
    assert [c.event.text for c in store.read(0, 10)] == ["", ""]
    assert store.keys.destroyed([1, 2]) == {1}


def test_keys_survive_a_restart_and_two_processes_make_the_same(store, url):
    put(store, "user-1", 0, [message()])
    first, second = open_keys("", url, "h1"), open_keys("", url, "h1")
    second.make([7, 1])
    first.make([7, 1])
    encrypted = encrypt(first.cipher(7), {"a": 1}, b"here")
    assert decrypt(second.cipher(7), encrypted, b"here") == {"a": 1}
    assert decoded(EventDecoder(first), store.read(0, 1)[0].record).text == TEXT
    for keys in (first, second):
        keys.close()


def test_a_thread_that_asks_for_keys_after_they_were_closed_opens_nothing(url, postgres):
    """When a server stops, a thread may go on whose caller was cancelled."""
    keys = open_keys("", url, "h1")
    keys.close()
    with pytest.raises(Unavailable):
        keys.table.records()
    if url.startswith("postgresql"):
        wait_until(lambda: connected(url) == [], 5, "nobody is connected")


def test_encrypted_bytes_open_only_where_they_were_put(store):
    (written,) = put(store, "user-1", 0, [message()])
    for moved in (replace(written.record, stream="user-9"), replace(written.record, version=2)):
        with pytest.raises(NotDecryptable):
            decoded(store.codec, moved, strict=True)
        assert decoded(store.codec, moved).text == ""
    with pytest.raises(NotDecryptable):
        store.codec.decode("user-1", 1, "mailbox.message_queued", written.record.data, strict=True)


def test_a_changed_bit_is_noticed():
    cipher = AESGCM(b"k" * 32)
    encrypted = encrypt(cipher, {"text": TEXT}, b"here")
    assert decrypt(cipher, encrypted, b"here") == {"text": TEXT}
    for index in range(len(encrypted)):
        changed = encrypted[:index] + bytes([encrypted[index] ^ 1]) + encrypted[index + 1 :]
        with pytest.raises(NotDecryptable):
            decrypt(cipher, changed, b"here")


def test_without_keys_everything_else_is_readable(store):
    (written,) = put(store, "user-1", 0, [message()])
    event = decoded(EventDecoder(NoKeys()), written.record)
    assert (event.text, event.name, event.handle, event.id, event.to) == ("", "", "ann", "m1", 2)


def test_what_was_stored_before_there_were_keys_is_read_as_it_stands(store):
    (plain,) = in_stream([message()], "user-1", 0)
    data = msgpack.packb({**stored_fields(plain), "class_version": 2})
    assert store.codec.decode("user-1", 1, plain.TOPIC, data) == plain


def test_an_event_in_a_box_is_plain_and_needs_no_key_of_its_sender(store, store_url):
    (written,) = put(store, "user-1", 0, [message()])
    travelling = store.codec.for_mail(written.event, written.record)
    other = Store(store_url("h2"), "h2", HOME)
    assert decoded(other.codec, travelling, strict=True) == written.event
    assert decoded(other.codec, written.record).text == ""
    other.close()


def test_the_key_of_old_mail_is_destroyed_once_and_for_all(store, store_url):
    store.keys.table.add({-1: b"k" * 32})
    assert store.keys.transit_key() == -1
    store.end_old_mail()
    store.keys.table.add({-1: b"k" * 32})  # as from a backup
    assert (store.transit_key, store.keys.transit_key()) == (0, 0)


def test_a_snapshot_may_need_more_keys_than_are_kept_in_memory(store):
    keys = KeyStore(store.keys.table, keys_in_memory=30, ciphers_in_memory=4)
    keys.make(range(1, 26))  # active users; to have the others at hand, some of these must go
    names = {uid: Personal(uid, f"name {uid}") for uid in range(1, 51)}
    for _ in range(2):  # the second time all keys exist already
        assert unpack_snapshot(pack_snapshot(names, keys), keys) == {uid: f"name {uid}" for uid in names}
    keys.destroy(7)
    assert unpack_snapshot(pack_snapshot(names, keys), keys)[7] == ""


def test_the_keys_of_one_batch_are_at_hand_together_however_many_they_are(store):
    keys = KeyStore(store.keys.table, keys_in_memory=10, ciphers_in_memory=1)
    keys.make(range(1, 11))
    keys.make(range(5, 41))
    assert None not in keys.at_hand(range(5, 41)).values()
    keys.make((50,))
    with pytest.raises(KeysNeeded):
        keys.at_hand((5, 50))
    keys.at_hand((50,))


def test_a_snapshot_takes_no_key_away_from_active_users(store):
    keys = KeyStore(store.keys.table, keys_in_memory=10, ciphers_in_memory=1)
    keys.make(range(1, 11))
    pack_snapshot({uid: Personal(uid, "name") for uid in range(1, 101)}, keys)
    keys.at_hand(range(1, 11))


class Slow(dict):
    """Lets other threads on when somebody begins to look through it, or is about to add to it."""

    def __iter__(self):
        looking = super().__iter__()
        time.sleep(0.0005)
        return looking

    def update(self, keys):
        time.sleep(0.0005)
        super().update(keys)


def test_keys_are_asked_for_by_several_threads(store):
    keys = KeyStore(store.keys.table, keys_in_memory=20, ciphers_in_memory=5)
    everybody = range(1, 101)
    keys.make(everybody)
    keys._keys = Slow()
    chance = random.Random(os.environ["FLASH_TEST_SEED"])
    orders = [chance.sample(everybody, len(everybody)) for _ in range(4)]
    with ThreadPoolExecutor(len(orders)) as threads:
        found = threads.map(lambda order: sum(keys.cipher(uid) is not None for uid in order), orders)
        assert list(found) == [len(everybody)] * len(orders)


def test_snapshots_and_checkpoints_hold_no_text(store):
    put(store, "user-1", 0, [contact()])
    store.put_snapshot(*store.packed_snapshot(store.load("user-1")))
    _, snapshot = store.log.newest_snapshot("user-1")
    assert not {word for word in (b"Bob Jones", b"Bobby") if word in snapshot}
    assert store.load("user-1").contacts[2][1:] == ("bob", "Bob Jones", "h2", "Bobby", False)
    packed = pack_snapshot({"texts": [Personal(1, TEXT)], "none": Personal(3, ""), "plain": "ann"}, store.keys)
    assert TEXT.encode() not in packed
    assert unpack_snapshot(packed, store.keys) == {"texts": [TEXT], "none": "", "plain": "ann"}
    store.keys.destroy(1)
    assert unpack_snapshot(packed, store.keys) == {"texts": [""], "none": "", "plain": "ann"}, "a copy from before the erasure too"


def test_the_key_file_is_for_its_owner_only_and_forgets(tmp_path):
    keys = open_keys("", f"sqlite:///{tmp_path}/h1.db", "h1")
    for start in range(0, 3_000, 100):  # many pages, many splits
        keys.make(range(9_000 - start, 9_000 - start - 100, -1))
    folder = tmp_path / "keys"
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    key = keys.table.read([8_001])[8_001]

    def copies() -> int:
        return sum(file.read_bytes().count(key) for file in folder.iterdir())

    assert copies() > 0
    keys.destroy(8_001)
    assert copies() == 0
    with closing(sqlite3.connect(folder / "h1.db")) as database:
        assert database.execute("SELECT count(*) FROM keys WHERE key IS NOT NULL").fetchone() == (2_999,)
    keys.close()


def test_a_destroyed_key_is_in_no_file_of_postgresql_but_its_log(postgres):
    if not isinstance(postgres, PrivatePostgres):
        pytest.skip("the files of a PostgreSQL that is not ours cannot be searched")
    with postgres.lend_database() as url, closing(open_keys("", url, "h1")) as keys:
        keys.make(range(1, 300))
        key = keys.table.read([150])[150]

        def copies() -> int:
            with psycopg.connect(url, autocommit=True) as database:
                database.execute("CHECKPOINT")
            return sum(file.read_bytes().count(key) for file in postgres.directory.glob("data/base/*/*"))

        assert copies() > 0
        keys.destroy(150)
        assert copies() == 0
        assert keys.table.everything()[150] is None
        assert len(keys.table.everything()) == 299
