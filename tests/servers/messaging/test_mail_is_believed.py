"""Mail is believed from its sender alone, and so is its position; what cannot be opened is asked for again, and old mail is read once."""

import msgpack
import pytest
from structlog.testing import capture_logs

from broker import envelope, mail, topology
from broker.envelope import EventRecord
from broker.port import Outgoing
from domain.event import stored_fields
from domain.registry.registered_home import GLOBAL
from runtime.per_minute import LINES_A_MINUTE
from servers.trust.server_identity import ServerIdentity
from servers.trust.user_words import user_word
from tests.domain.home_stories import message_sent
from tests.servers.commands import contact, send
from tests.servers.members import REGISTRY, Correspondent, certified
from tests.servers.messaging.test_outbox_and_inbox import dead_letters, record
from tests.servers.messaging_server import Server
from tests.servers.strangers import RecordsInMemory
from tests.support.waiting import eventually

OLD_KEY = b"k" * 32


def ids(server, uid=2):
    return [id_ for id_, _ in server.mailbox(uid)]


async def arrives(server, body):
    await server.broker.publish([Outgoing(topology.HOMES, server.name, body)])


@pytest.fixture
async def h1(store_url, broker):
    h1 = await Server(store_url, "h1", broker).start()
    yield h1
    await h1.stop()


@pytest.fixture
async def h2(store_url, broker):
    h2 = await Server(store_url, "h2", broker).start()
    yield h2
    await h2.stop()


async def test_a_forged_position_changes_nothing(h1, h2, tmp_path):
    """h3 says it is h1 and at position 2^62: on 79ccbf3 all real mail of h1 was dropped as repeats from then on."""
    await h1.writer.submit((contact(),))
    await h1.writer.submit((send("before"),))
    await eventually(lambda: ids(h2) == ["before"])
    h3 = Correspondent("h3", h2.trust)
    await arrives(h2, h3.mail("h2", [record(message_sent("forged"), 2**62)], source="h1"))
    ((reason, _),) = await eventually(lambda: dead_letters(tmp_path))
    assert "the box of mail from 'h1' does not open" in reason
    await h1.writer.submit((send("after"),))
    await eventually(lambda: ids(h2) == ["before", "after"])
    assert h2.inbox.dedup.position("h1") < 2**62


async def test_who_was_given_anns_number_is_refused_also_after_a_restart(h1, h2, store_url, broker, tmp_path):
    """The Global Server was set back, and says that user 1 is eve of h3. What h2 stored of ann counts."""
    await h1.writer.submit((contact(),))
    await h1.writer.submit((send("of ann"),))
    await eventually(lambda: ids(h2) == ["of ann"])
    await h2.stop()
    h2 = await Server(store_url, "h2", broker).start()
    h3 = Correspondent("h3", h2.trust)
    await arrives(h2, h3.mail("h2", [record(message_sent("of eve"), 1, "user-1")], words=[user_word(REGISTRY, 1, "eve", "h3")]))
    ((reason, _),) = await eventually(lambda: dead_letters(tmp_path))
    assert "does not live there" in reason
    assert (ids(h2), h2.words.twice) == (["of ann"], 1)
    await h2.stop()


async def test_nobody_but_its_addressee_reads_a_mail_and_the_head_says_what_it_is(h2):
    h7 = Correspondent("h7", h2.trust)
    body = h7.mail("h2", [record(message_sent("a", text="a secret"), 1)])
    assert b"secret" not in body
    head, *_ = mail.decode(body)
    assert (head.source, head.destination, head.last, list(head.topics)) == ("h7", "h2", 1, ["user.message_sent"])


async def test_the_first_mail_of_a_stranger_opens_at_once_because_it_brings_its_card(h1, store_url, broker):
    """A burst to a server that never heard of h1 used to wait for a question, and for the sending anew that followed."""
    await h1.peers.stop()  # nor has it heard a heartbeat
    h2 = await Server(store_url, "h2", broker).start()
    assert h2.trust.peers.card("h1") is None
    await h1.writer.submit((contact(),))
    for number in range(10):
        await h1.writer.submit((send(str(number)),))
    await eventually(lambda: ids(h2) == [str(number) for number in range(10)])
    assert (h2.inbox.unopened, h1.outbox.receivers.again) == (0, 0)
    await h2.stop()


async def test_a_card_that_comes_with_mail_must_prove_itself(h2):
    """h9 made itself a certificate of its own, and brings it."""
    h9 = Correspondent("h9")
    h9.trust.peers.learn(h2.trust.card)
    _, head, box, _ = mail.decode(h9.mail("h2", [record(message_sent("forged"), 1)]))
    forged = certified("h9", RecordsInMemory(), registry=ServerIdentity(GLOBAL, b"x" * 32))
    with capture_logs() as logged:
        for _ in range(100):
            await arrives(h2, mail.encode(head, box, forged.card))
        await eventually(lambda: h2.inbox.unopened == 100)
    assert h2.cards.not_believed == 100
    assert (ids(h2), h2.trust.peers.card("h9")) == ([], None)
    for event in ("trust.card_not_believed", "mail.unopened"):
        assert len([line for line in logged if line["event"] == event]) == LINES_A_MINUTE, "a liar does not fill the log"


async def test_mail_of_a_server_whose_card_was_lost_takes_effect_once_the_card_has_come(h1, store_url, broker):
    """h2 asks for the card, and then for the mail."""
    h2 = await Server(store_url, "h2", broker).start()
    await h1.writer.submit((contact(),))
    await h1.writer.submit((send("first"),))
    await eventually(lambda: ids(h2) == ["first"])
    h1.mail_check.met("h2")
    await eventually(lambda: h1.outbox.receivers.of("h2").confirmed)
    await h1.peers.stop()
    h2.trust.peers.forget_all(REGISTRY.public)
    await h1.writer.submit((send("second"),))
    await eventually(lambda: ids(h2) == ["first", "second"])
    assert h2.inbox.unopened >= 1
    assert h2.inbox.dead == 0
    await h2.stop()


async def test_mail_that_was_closed_for_a_lost_key_is_sent_again_for_the_new_one(h1, store_url, broker):
    h2 = await Server(store_url, "h2", broker).start()
    await h1.writer.submit((contact(),))
    await h1.writer.submit((send("a"),))
    await eventually(lambda: ids(h2) == ["a"])
    await h2.stop()
    await h1.writer.submit((send("b"),))
    await eventually(lambda: h1.outbox.lag == 0)
    h2 = Server(store_url, "h2", broker)
    for _ in range(3):  # so often that the key is gone for which that mail was closed
        h2.trust.box_keys.rotate()
    await h2.start()
    await eventually(lambda: ids(h2) == ["a", "b"])
    assert h2.inbox.unopened >= 1
    assert h2.inbox.dead == 0
    await h2.stop()


def old_mail(id, position):
    """As 79ccbf3 sent it: one popup, whose text is encrypted with the key that all homes shared."""
    event = message_sent(id)
    state = stored_fields(event) | {"class_version": event.class_version}
    return envelope.encode("h9", [EventRecord(position, "user-1", 1, event.TOPIC, event.at, msgpack.packb(state))])


async def test_old_mail_that_waited_is_read_once_and_never_again(store_url, broker, tmp_path):
    await broker.declare_inbox("h2")
    await broker.publish([Outgoing(topology.HOMES, "h2", old_mail(f"m{n}", n)) for n in range(1, 4)])
    h2 = await Server(store_url, "h2", broker, old_mail_key=OLD_KEY).start()
    await eventually(lambda: ids(h2) == ["m1", "m2", "m3"])
    await eventually(lambda: not h2.inbox.reader.takes_old_mail)
    await arrives(h2, old_mail("late", 4))
    ((reason, _),) = await eventually(lambda: dead_letters(tmp_path))
    assert "came after the upgrade" in reason
    await h2.stop()
    h2 = await Server(store_url, "h2", broker, old_mail_key=OLD_KEY).start()  # and a key of a backup opens it no more
    await arrives(h2, old_mail("later", 5))
    await eventually(lambda: len(dead_letters(tmp_path)) == 2)
    assert ids(h2) == ["m1", "m2", "m3"]
    await h2.stop()


async def test_mail_of_a_life_that_nobody_announced_is_kept_until_it_is_announced(h2):
    h7 = Correspondent("h7", h2.trust, life=5)
    await arrives(h2, h7.mail("h2", [record(message_sent("a"), 1)], life=6))
    await eventually(lambda: h2.inbox.unopened == 1)
    await arrives(h2, h7.mail("h2", [record(message_sent("b"), 1)]))
    await eventually(lambda: ids(h2) == ["b"])
    assert h2.inbox.dead == 0


async def test_mail_of_a_log_that_was_set_back_is_neither_dropped_as_a_repeat_nor_applied(store_url, broker, tmp_path):
    """h1's file is replaced by an older copy: on 79ccbf3 all its mail was dropped as repeats from then on, without a line in the log."""
    h1, h2 = await Server(store_url, "h1", broker).start(), await Server(store_url, "h2", broker).start()
    await h1.writer.submit((contact(),))
    for n in range(5):
        await h1.writer.submit((send(f"m{n}"),))
    await eventually(lambda: len(ids(h2)) == 5)
    await eventually(lambda: not h1.outbox.receivers.behind)
    committed = h2.store.tracked("h1")
    h1.older_end = 3
    h2.mail_check.met("h1")
    await eventually(lambda: h2.inbox.set_back == {"h1"})
    assert h1.mail_check.ahead == {"h2"}
    h1.older_end = 0
    await h1.writer.submit((send("after"),))
    await eventually(lambda: len(ids(h2)) == 6)  # h1 was whole all the time, and h2 finds out
    await eventually(lambda: not h2.inbox.set_back)
    assert not h1.mail_check.ahead
    assert h2.store.tracked("h1") > committed
    await h1.stop()
    await h2.stop()
