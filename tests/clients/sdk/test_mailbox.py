"""What is new and what to acknowledge, without a network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_sdk.events import Message, Receipt, Welcome, read
from flash_sdk.mailbox import RECEIPTS_PER_ACK, Mailbox
from flash_sdk.parts import Part
from flash_sdk.seen import MemorySeen
from tests.clients.sdk.peer import AT, message


def popup(seq: int, id: str | None = None, sender: int = 2) -> Message:
    event = read(Part("message", message(seq, id=id, sender=sender)))
    assert isinstance(event, Message)
    return event


def receipt(seq: int) -> Receipt:
    event = read(Part("receipt", {"id": f"r{seq}", "to": 2, "state": "delivered", "at": AT, "why": None, "seq": seq}))
    assert isinstance(event, Receipt)
    return event


def welcomed(mailbox: Mailbox, verdict: str = "fresh", session: str = "s1") -> None:
    mailbox.welcome(Welcome(session, 1, 30.0, verdict, 0, ()))


def take(mailbox: Mailbox, event: Message | Receipt) -> tuple[bool, bool]:
    """(shown, to be acknowledged at once)"""
    item = mailbox.receive(event, event.seq)
    assert item is not None
    return item.event is not None, mailbox.processed(item)


def test_a_message_is_acknowledged_only_once_it_is_processed() -> None:
    mailbox = Mailbox()
    welcomed(mailbox)
    item = mailbox.receive(popup(1), 1)
    assert item is not None
    assert mailbox.upto == 0
    assert mailbox.processed(item)
    assert mailbox.upto == 1


def test_receipts_are_acknowledged_lazily() -> None:
    mailbox = Mailbox()
    welcomed(mailbox)
    urgent = [take(mailbox, receipt(seq))[1] for seq in range(1, RECEIPTS_PER_ACK + 1)]
    assert urgent == [False] * (RECEIPTS_PER_ACK - 1) + [True]
    assert mailbox.upto == RECEIPTS_PER_ACK


def test_a_repeat_after_a_reconnect_is_not_shown_but_acknowledged() -> None:
    mailbox = Mailbox()
    welcomed(mailbox)
    assert take(mailbox, popup(1)) == (True, True)
    mailbox.resume()
    welcomed(mailbox, "fresh", "s2")
    assert take(mailbox, popup(1)) == (False, True)
    assert mailbox.upto == 1


def test_one_that_waits_in_the_queue_is_not_queued_again_and_not_acknowledged_early() -> None:
    mailbox = Mailbox()
    welcomed(mailbox)
    waiting = mailbox.receive(popup(1), 1)
    mailbox.resume()
    welcomed(mailbox, "fresh", "s2")
    again = mailbox.receive(popup(1), 1)
    assert waiting is not None
    assert again is not None
    assert again.event is None
    assert not mailbox.processed(waiting)  # it came on another connection: its number says nothing here
    assert mailbox.upto == 0
    assert mailbox.processed(again)
    assert mailbox.upto == 1


def test_the_same_id_from_two_senders_is_two_messages() -> None:
    mailbox = Mailbox()
    welcomed(mailbox)
    assert take(mailbox, popup(1, "x", sender=2))[0]
    assert take(mailbox, popup(2, "x", sender=3))[0]


@pytest.mark.parametrize("verdict", ["fresh", "gap"])
def test_numbers_of_a_lost_mailbox_neither_hide_nor_acknowledge_new_messages(verdict: str) -> None:
    mailbox = Mailbox()
    welcomed(mailbox)
    take(mailbox, popup(50))
    assert mailbox.resume() == {"session": "s1", "seq": 50}
    welcomed(mailbox, verdict, "s2")
    assert mailbox.upto == 0
    assert take(mailbox, popup(1, "new")) == (True, True)
    assert mailbox.upto == 1


def test_where_nothing_came_since_is_said_again_and_is_no_gap() -> None:
    mailbox = Mailbox()
    welcomed(mailbox)
    take(mailbox, popup(50))
    for session in ("s2", "s3"):
        assert mailbox.resume()["seq"] == 50
        welcomed(mailbox, "fresh", session)
    assert not mailbox.owes_ack
    assert take(mailbox, popup(51)) == (True, True)
    assert mailbox.resume() == {"session": "s3", "seq": 51}


@pytest.mark.parametrize("verdict", ["fresh", "gap"])
def test_a_home_that_counts_anew_is_not_told_an_old_number(verdict: str) -> None:
    mailbox = Mailbox()
    welcomed(mailbox)
    take(mailbox, popup(50))
    mailbox.resume()
    welcomed(mailbox, verdict, "s2")
    take(mailbox, popup(1, "new"))
    assert mailbox.resume() == {"session": "s2", "seq": 1}


def test_a_resume_that_the_home_keeps_goes_on_from_there() -> None:
    mailbox = Mailbox()
    welcomed(mailbox)
    take(mailbox, popup(50))
    mailbox.resume()
    welcomed(mailbox, "replayed", "s2")
    assert mailbox.upto == 50
    assert mailbox.owes_ack  # the last acknowledgement may have been lost with the connection
    assert not take(mailbox, popup(50))[0]
    assert take(mailbox, popup(51))[0]


def test_messages_that_the_last_run_showed_are_not_shown_again() -> None:
    seen = MemorySeen()
    first = Mailbox(seen)
    welcomed(first)
    take(first, popup(1))
    second = Mailbox(seen)
    welcomed(second)
    assert take(second, popup(1)) == (False, True)
    assert take(second, popup(2)) == (True, True)


def test_peeking_takes_nothing() -> None:
    seen = MemorySeen()
    mailbox = Mailbox(seen, peek=True)
    welcomed(mailbox)
    assert take(mailbox, popup(1)) == (True, False)
    assert mailbox.upto == 0
    assert len(seen) == 0


STEPS = st.lists(st.sampled_from(["arrive", "process", "ack lost", "acked", "reconnect", "home forgot"]), max_size=60)


@given(STEPS)
def test_whatever_happens_each_message_is_shown_once_and_none_is_acknowledged_unseen(steps: list[str]) -> None:
    """A model home: numbers 1, 2, 3…, replays what is not acknowledged; connections break anywhere."""
    mailbox, queue, shown = Mailbox(), [], []
    cursor = acked = session = 0
    welcomed(mailbox, session="0")
    for step in steps:
        if step == "arrive":
            cursor += 1
            item = mailbox.receive(popup(cursor), cursor)
            assert item is not None
            queue.append(item)
        elif step == "process" and queue:
            item = queue.pop(0)
            if isinstance(item.event, Message):
                shown.append(item.event.seq)
            mailbox.processed(item)
        elif step == "acked":
            acked = max(acked, mailbox.upto)
            mailbox.confirmed(mailbox.upto, str(session))
            assert acked <= len(shown)
        elif step in ("reconnect", "home forgot"):
            resume = mailbox.resume()
            assert resume is not None
            session += 1
            cursor = int(str(resume["seq"])) if step == "reconnect" else acked
            welcomed(mailbox, "replayed" if step == "reconnect" else "fresh", str(session))
    assert shown == list(range(1, len(shown) + 1))
