"""Long mail is read in steps: so many records, events and signatures in one turn of the loop, whatever the mail holds."""

import itertools

import msgspec
import pytest

from broker import mail
from broker.envelope import MAX_EVENTS
from broker.mail import Body
from domain.errors import Malformed
from servers.messaging.belief import Belief
from servers.messaging.inbox_parts import MailListener
from servers.messaging.mail_reader import EVENTS_A_STEP, WORDS_A_STEP, MailReader
from servers.trust.user_words import UserWords, user_word
from tests.domain.home_stories import message_sent
from tests.servers.members import REGISTRY, Correspondent, certified
from tests.servers.messaging.test_outbox_and_inbox import Again, record
from tests.servers.stores import HOME

JUNK = MAX_EVENTS


class Counting(Belief):
    """Counts what it is asked."""

    judged = 0
    checked = 0

    def stream_fault(self, topic, stream, source):
        self.judged += 1
        return super().stream_fault(topic, stream, source)

    def learn(self, source, words):
        self.checked += len(words)
        super().learn(source, words)


LISTENER = MailListener(
    hears=(), receivers={}, told=lambda source, position: None, card=lambda card: False, unopened=lambda source, why: None,
    missing=lambda source: None, came_before=lambda source: None,
)  # fmt: skip


@pytest.fixture
def reader(store):
    trust = certified("h2", store.keys.table, store.life)
    return MailReader(store, trust, LISTENER, lambda who, source: True,
                      Counting("h2", UserWords(store.keys.table, lambda: REGISTRY.public)))  # fmt: skip


@pytest.fixture
def store(url):
    from servers.store.event_store import Store

    store = Store(url, "h2", HOME)
    yield store
    store.close()


def steps_of(reader, body, again=False):
    """How much was judged and checked in each step, and what was read."""
    steps, counts, belief = reader.steps(Again(body=body)), [(0, 0)], reader.belief
    while True:
        try:
            next(steps)
        except StopIteration as end:
            counts.append((belief.judged, belief.checked))
            if end.value.needed and not again:  # the words that are stored here are read first
                belief.words.load(end.value.needed)
                return steps_of(reader, body, again=True)
            return [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(counts)], end.value
        counts.append((belief.judged, belief.checked))


def test_an_envelope_full_of_junk_is_judged_a_few_events_at_a_time(reader):
    h7 = Correspondent("h7", reader.trust)
    junk = [record(message_sent("x"), n, topic="no.such_topic", data=b"x") for n in range(1, JUNK + 1)]
    steps, incoming = steps_of(reader, h7.mail("h2", junk))
    assert max(judged for judged, _ in steps) <= EVENTS_A_STEP
    assert len(steps) >= JUNK // EVENTS_A_STEP
    assert len(incoming.arrived.events) == JUNK
    assert "not believed" in incoming.fault or "unreadable" in incoming.fault


def test_words_are_checked_a_few_at_a_time(reader):
    h7 = Correspondent("h7", reader.trust)
    words = [user_word(REGISTRY, uid, f"u{uid}", "h7") for uid in range(100, 400)]
    steps, _ = steps_of(reader, h7.mail("h2", [record(message_sent("a"), 1)], words=words))
    assert max(checked for _, checked in steps) == WORDS_A_STEP
    assert len(reader.belief.words.known) == 300


def test_a_mail_of_more_events_than_a_server_sends_is_refused_whole(reader):
    h7 = Correspondent("h7", reader.trust)
    junk = [record(message_sent("x"), n, topic="no.such_topic", data=b"x") for n in range(1, 20_001)]
    steps, incoming = steps_of(reader, h7.mail("h2", junk))
    assert (len(steps), incoming.arrived.events) == (1, ())
    assert "<= 1000" in incoming.fault


@pytest.mark.parametrize(
    "message", [b"\x94\x02" + b"\x91" * 3_999_000, b"\x93\x02" + b"\xc4\x00" * 2_000_000], ids=["lists in lists", "too long"]
)
def test_no_object_is_made_of_what_a_mail_may_not_hold(message):
    with pytest.raises(Malformed):
        mail.decode(message)


def test_a_body_comes_out_as_it_went_in():
    records = [record(message_sent(f"m{n}"), n) for n in range(1, 300)]
    assert mail.decode_body(mail.encode_body(Body(records, 7, 9, [b"word"]))) == Body(records, 7, 9, [b"word"])


@pytest.mark.parametrize(
    "packed",
    [b"", b"\xc1", b"\x93\x90\x00\x00", msgspec.msgpack.encode([[7], 0, 0, []]), msgspec.msgpack.encode([[], 0, 0, "x"]), b"\x94\x92\x80"],
    ids=["nothing", "no msgpack", "too short", "no record", "no words", "cut off"],
)
def test_a_body_that_is_junk_is_refused(packed):
    with pytest.raises(Malformed):
        mail.decode_body(packed)
