"""What was ever stored is read for ever: every event of every version decodes to the same event as on the day it was written."""

import json

import msgpack
import pytest

from domain.event import stored_fields
from domain.events.every import every_event
from domain.events.global_server import AccountClosed
from domain.events.home import MessageSent
from domain.personal import owners
from domain.rules.rules import Rules
from servers.store.event_store import Store
from tests.golden.samples import FOLDER, STREAM, VERSION, decode, example, path, stored, write_missing

SAMPLES = sorted(FOLDER.glob("*.json"))
KINDS = sorted(every_event(), key=lambda kind: kind.TOPIC)


def test_every_topic_and_version_has_a_sample():
    wanted = {path(kind.TOPIC, version).name for kind in KINDS for version in range(1, kind.class_version + 1)}
    missing = wanted - {sample.name for sample in SAMPLES}
    assert not missing, "run `python -m tests.golden`; a sample of an older version was stored by the program of that time"


def test_every_sample_has_a_topic():
    assert {sample.name.rpartition(".v")[0] for sample in SAMPLES} <= {kind.TOPIC for kind in KINDS}


def test_topics_are_unique():
    assert len({kind.TOPIC for kind in KINDS}) == len(KINDS) >= 20


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_a_sample_decodes_to_the_event_it_was(file):
    sample = json.loads(file.read_text(encoding="utf-8"))
    event = decode(sample)
    assert sample["topic"] == event.TOPIC
    now = stored_fields(event)
    assert {name: now[name] for name in sample["event"]} == sample["event"]  # a later version may add fields, and never drops one


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.TOPIC)
def test_the_store_keeps_the_whole_event(kind, tmp_path):
    """What the store keeps is the whole event, but what is personal only under its owner's key."""
    event = example(kind)
    store = Store(f"sqlite:///{tmp_path}/x.db", "x", Rules("x", {}, {}, {}))
    store.keys.make(owners(event))
    (packed,) = store.codec.encode([event])
    assert store.codec.decode(packed.stream, packed.version, packed.topic, packed.data) == event
    store.close()
    assert (packed.stream, packed.version, packed.topic, packed.time) == (STREAM, VERSION, kind.TOPIC, event.at)
    ours, whole = msgpack.unpackb(packed.data), msgpack.unpackb(stored(event))
    assert {name: whole[name] for name in ours if name != "sealed"} == {n: v for n, v in whole.items() if n not in kind.PERSONAL}
    assert [name for name in whole if name in ours] == [name for name in ours if name != "sealed"]
    assert ("sealed" in ours) == bool(kind.PERSONAL)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.TOPIC)
def test_an_event_is_stored_in_the_bytes_of_the_day_its_sample_was_written(kind):
    """The order of the keys included: seals and witnesses compare bytes."""
    sample = json.loads(path(kind.TOPIC, kind.class_version).read_text(encoding="utf-8"))
    assert stored(decode(sample)).hex() == sample["stored"]


def test_fields_that_only_a_later_version_knows_are_passed_over():
    sample = json.loads(path("user.logged_off", 1).read_text(encoding="utf-8"))
    later = msgpack.unpackb(bytes.fromhex(sample["stored"])) | {"class_version": 2, "battery": 80}
    assert decode({"topic": sample["topic"], "stored": msgpack.packb(later).hex()}) == decode(sample)


def test_an_event_without_one_of_its_fields_is_refused():
    sample = json.loads(path("user.logged_off", 1).read_text(encoding="utf-8"))
    short = msgpack.unpackb(bytes.fromhex(sample["stored"]))
    del short["reason"]
    with pytest.raises(TypeError):
        decode({"topic": sample["topic"], "stored": msgpack.packb(short).hex()})


def test_a_message_of_version_one_was_not_urgent():
    stored = msgpack.unpackb(bytes.fromhex(json.loads(path("user.message_sent", 1).read_text())["stored"]))
    assert "urgent" not in stored
    assert "class_version" not in stored
    event = decode({"topic": "user.message_sent", "stored": msgpack.packb(stored).hex()})
    assert isinstance(event, MessageSent)
    assert event.urgent is False
    assert {**stored_fields(event), "urgent": None} == {**stored, "urgent": None}


def test_an_account_that_was_closed_in_version_one_told_no_home():
    closed = decode(json.loads(path("account.closed", 1).read_text(encoding="utf-8")))
    assert isinstance(closed, AccountClosed)
    assert (closed.home, closed.homes) == ("", [])


def test_samples_are_never_overwritten():
    before = {file: file.read_bytes() for file in SAMPLES}
    write_missing()
    assert {file: file.read_bytes() for file in before} == before
