"""What a server said and was believed is not judged anew, and that helps no lie. Rule: each lie differs in one claim from what is true."""

import msgpack
import pytest
from msgspec.structs import replace

from broker import topology
from broker.port import Outgoing
from domain.event import stored_fields
from servers.trust.user_words import user_word
from tests.domain.home_stories import message_sent
from tests.servers.members import REGISTRY, Correspondent
from tests.servers.messaging.test_outbox_and_inbox import dead_letters, record
from tests.servers.messaging_server import Server
from tests.support.waiting import eventually

WORDS = (user_word(REGISTRY, 7, "gus", "h9"), user_word(REGISTRY, 8, "ann", "h9"), user_word(REGISTRY, 3, "carol", "h3"))


@pytest.fixture
async def h2(store_url, broker):
    h2 = await Server(store_url, "h2", broker).start()
    yield h2
    await h2.stop()


TRUTH = replace(message_sent(), uid=7, handle="gus")


async def says(h2, correspondent, event, position, stream="user-7"):
    told = record(event, position, stream, data=msgpack.packb(stored_fields(event)))
    body = correspondent.mail("h2", [told], previous=position - 1, words=WORDS)
    await h2.broker.publish([Outgoing(topology.HOMES, "h2", body)])


async def has_said_the_truth(h2, correspondent):
    for position in (1, 2):  # the second time it is believed because of the first
        await says(h2, correspondent, replace(TRUTH, id=f"true {position}"), position)
    await eventually(lambda: [id_ for id_, _ in h2.mailbox(2)] == ["true 1", "true 2"])


@pytest.mark.parametrize(
    ("lie", "stream", "why"),
    [
        ({"handle": "bob"}, "user-7", "user 7 has another handle"),
        ({"handle": "ann"}, "user-8", "user 8 cannot send as user 7"),
        ({"to": 3}, "user-7", "user 3 does not live here"),
        ({}, "user-2", "user 2 does not live there"),
        ({}, "mailbox-7", "events of this kind are in no stream mailbox"),
    ],
)
async def test_what_was_believed_proves_no_other_claim(h2, tmp_path, lie, stream, why):
    h9 = Correspondent("h9", h2.trust)
    await has_said_the_truth(h2, h9)
    await says(h2, h9, replace(TRUTH, id="a lie", **lie), 3, stream)
    ((reason, _),) = await eventually(lambda: dead_letters(tmp_path))
    assert why in reason
    assert len(h2.mailbox(2)) == 2


async def test_what_one_server_may_say_another_may_not(h2, tmp_path):
    h9, h8 = Correspondent("h9", h2.trust), Correspondent("h8", h2.trust)
    await has_said_the_truth(h2, h9)
    await says(h2, h8, replace(TRUTH, id="a lie"), 1)
    ((reason, _),) = await eventually(lambda: dead_letters(tmp_path))
    assert "user 7 does not live there" in reason
    assert len(h2.mailbox(2)) == 2
