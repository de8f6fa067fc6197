"""A home tells of popups that its own users got. News of a popup that was never sent to them is set aside, and Ann never sees it."""

import pytest
from structlog.testing import capture_logs

from broker import topology
from broker.port import Outgoing
from domain.event import in_stream
from domain.events.home import MessageBounced, MessageDone, MessagesDelivered
from tests.domain.home_stories import WHEN
from tests.servers.commands import contact, send
from tests.servers.mailboxes import waiting
from tests.servers.members import Correspondent
from tests.servers.messaging.test_outbox_and_inbox import dead_letters, deliver, opened, record
from tests.support.waiting import eventually


def told_by(uid, event, position):
    (event,) = in_stream([event], f"mailbox-{uid}", position - 1)
    return record(event, position, event.originator_id, event.originator_version)


def receipts(server, uid=1):
    return [(e.id, e.state) for e in waiting(server.store, uid)]


FORGED = {
    "delivered, but never sent": MessagesDelivered(upto=1, session="s", messages=[("m9", 1, "h1")], **WHEN),
    "delivered, but sent to Bob": MessagesDelivered(upto=1, session="s", messages=[("m1", 1, "h1")], **WHEN),
    "done, but sent to Bob": MessageDone(id="m1", uid=1, home="h1", **WHEN),
    "bounced, but sent to Bob": MessageBounced(id="m1", uid=1, home="h1", why="mailbox_full", **WHEN),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_news_of_a_popup_that_went_to_somebody_else_is_set_aside(broker, tmp_path, forged):
    async with opened(lambda home: f"sqlite:///{tmp_path}/{home}.db", broker) as (h1, _):
        await h1.writer.submit((contact(other=7, home="h7"),))
        await h1.writer.submit((send("m1", to=2),))
        await h1.writer.submit((send("m7", to=7),))
        true = MessagesDelivered(upto=1, session="s", messages=[("m7", 1, "h1")], **WHEN)
        h7 = Correspondent("h7", h1.trust)
        await deliver(broker, h7.mail("h1", [told_by(7, forged, 1), told_by(7, true, 2)]), "h1")
        await eventually(lambda: receipts(h1) == [("m7", "delivered")])
        ((reason, _),) = await eventually(lambda: dead_letters(tmp_path))
        assert "at 1 of 'h7' cannot be applied" in reason


async def test_a_thousand_lies_cost_a_few_commits_and_leave_a_few_dead_letters(broker, tmp_path):
    """Each comes in a mail of its own, and behind every tenth one stands something true."""
    async with opened(lambda home: f"sqlite:///{tmp_path}/{home}.db", broker) as (h1, _):
        await h1.writer.submit((contact(other=7, home="h7"),))
        for number in range(100):
            await h1.writer.submit((send(f"n{number}", to=7),))
        await eventually(lambda: h1.outbox.idle)
        h7, mails = Correspondent("h7", h1.trust), []
        for number in range(1_000):
            lie = MessagesDelivered(upto=1, session="s", messages=[(f"never {number}", 1, "h1")], **WHEN)
            records = [told_by(7, lie, 2 * number + 1)]
            if number % 10 == 0:
                true = MessagesDelivered(upto=1, session="s", messages=[(f"n{number // 10}", 1, "h1")], **WHEN)
                records.append(told_by(7, true, 2 * number + 2))
            mails.append(h7.mail("h1", records, previous=2 * number, last=2 * number + 2))
        commits = h1.writer.commits
        with capture_logs() as logged:
            await broker.publish([Outgoing(topology.HOMES, "h1", mail) for mail in mails])
            await eventually(lambda: h1.inbox.dead == 1_000, 60)
        assert h1.writer.commits - commits < 60
        assert receipts(h1) == [(f"n{number}", "delivered") for number in range(100)]
        assert (h1.inbox.not_applied, h1.inbox.letters.left_out) == (1_000, 940)
        assert len(await eventually(lambda: dead_letters(tmp_path))) == 60
        told = [line["event"] for line in logged if line["log_level"] == "error"]
        assert sorted(told) == ["flood.begins", *60 * ["inbox.dead_letter"]]


async def test_another_servers_lie_is_counted_and_no_fault_of_ours_and_costs_the_others_little(broker, tmp_path):
    """32 mails of h7 come at once; one lies, behind an event of its own that is true."""
    async with opened(lambda home: f"sqlite:///{tmp_path}/{home}.db", broker) as (h1, _):
        await h1.writer.submit((contact(other=7, home="h7"),))
        await eventually(lambda: h1.outbox.idle)
        for number in range(32):
            await h1.writer.submit((send(f"n{number}", to=7),))
        h7, mails = Correspondent("h7", h1.trust), []
        for number in range(32):
            records = [told_by(7, MessagesDelivered(upto=1, session="s", messages=[(f"n{number}", 1, "h1")], **WHEN), 2 * number + 1)]
            if number == 20:
                records.append(told_by(7, FORGED["delivered, but never sent"], 2 * number + 2))
            mails.append(h7.mail("h1", records, previous=2 * number, last=2 * number + 2))
        commits = h1.writer.commits
        with capture_logs() as logged:
            await broker.publish([Outgoing(topology.HOMES, "h1", mail) for mail in mails])
            await eventually(lambda: len(receipts(h1)) == 32)
            await eventually(lambda: dead_letters(tmp_path))
        assert receipts(h1) == [(f"n{number}", "delivered") for number in range(32)]
        assert [line["event"] for line in logged if line["log_level"] == "error"] == ["inbox.dead_letter"]
        assert h1.inbox.not_applied == 1
        assert h1.writer.commits - commits < 20
