"""What waits for a session is read from the log: in order, once, a page at a time, and nothing of it is kept."""

import random

from structlog.testing import capture_logs

from servers.sessions.pages import MAX_PAGE_BYTES, Pages
from servers.sessions.parts import Part
from servers.sessions.session import ACK_WINDOW, FLUSH, MAX_LAG
from tests.domain.home_stories import BOB, queued, receipt
from tests.servers.homes import Window, shown
from tests.servers.sessions.stored_mail import StoredMail, session
from tests.servers.sessions.test_sessions import friends, town  # noqa: F401 - fixtures
from tests.support.waiting import eventually

LONG = "x" * 4_096


def messages(first, last, text="hi"):
    return [queued(seq, f"m{seq}", text=text) for seq in range(first, last + 1)]


def behind(events):
    """A session whose client read nothing, and its window."""
    window = Window()
    window.slow = True
    client = session(window)
    client.pages.commit(client, events)
    return client, window


def seqs(window):
    return [part.seq for part in window.parts if part.seq is not None]


def test_a_session_that_reads_nothing_of_a_thousand_long_messages_holds_numbers_only():
    """On 79ccbf3 it held a thousand events with their texts."""
    client, _ = behind([*messages(1, 1_000, LONG), receipt(1_001)])
    assert len(client.queue) == 1_001
    assert {type(item) for item in client.queue} == {int}
    assert (client.page, client.unacked, client.backlog, client.pages.asked) == (None, None, None, [])


def test_a_page_is_what_the_window_takes_and_one_is_read_at_a_time():
    client, window = behind(messages(1, 200))
    client.pages.held_back = True
    window.slow = False
    client.resume()
    assert [len(asked) for asked in client.pages.asked] == [ACK_WINDOW]
    client.resume()
    client.tell(Part("status", b"{}"))
    client.pages.commit(client, messages(201, 202))
    assert len(client.pages.asked) == 1
    client.pages.bring()
    assert seqs(window) == list(range(1, ACK_WINDOW + 1))
    assert len(client.pages.asked) == 1, "the window is full"
    client.acked(10)
    client.acked(20)
    assert [len(asked) for asked in client.pages.asked] == [ACK_WINDOW, 10]
    client.pages.bring()
    assert [len(asked) for asked in client.pages.asked] == [ACK_WINDOW, 10, 10]


def test_receipts_behind_a_full_window_are_read_without_an_ack_up_to_the_next_message():
    client, window = behind([*messages(1, ACK_WINDOW), receipt(ACK_WINDOW + 1), *messages(ACK_WINDOW + 2, ACK_WINDOW + 2)])
    window.slow = False
    client.resume()
    assert seqs(window) == list(range(1, ACK_WINDOW + 2))
    assert client.sent == ACK_WINDOW + 1


def test_a_page_that_is_shorter_than_asked_for_leaves_the_rest_in_the_queue():
    client, window = behind(messages(1, 10))
    client.pages.most = 3
    window.slow = False
    client.resume()
    assert seqs(window) == list(range(1, 11))
    assert [len(asked) for asked in client.pages.asked] == [10, 7, 4, 1]


def test_while_the_store_is_away_nothing_is_lost_and_then_nothing_comes_twice():
    client, window = behind(messages(1, 5))
    client.pages.away = True
    window.slow = False
    client.resume()
    client.acked(0)
    client.resume()
    assert (len(client.pages.asked), len(client.pages.again), window.parts) == (1, 1, [])
    client.pages.again.pop()()
    assert len(client.pages.again) == 1
    client.pages.away = False
    client.pages.again.pop()()
    assert seqs(window) == [1, 2, 3, 4, 5]
    assert (client.queue, client.page, window.aborted) == (None, None, False)


def test_a_session_that_ends_while_a_page_is_read_sends_nothing_and_reads_no_more():
    client, window = behind(messages(1, 200))
    client.pages.held_back = True
    window.slow = False
    client.resume()
    client.closed = True
    client.pages.bring()
    assert (window.parts, len(client.pages.asked)) == ([], 1)


def test_a_message_whose_sender_is_erased_while_it_is_read_is_not_shown():
    client, window = behind([*messages(1, 2), receipt(3)])
    client.pages.held_back = True
    window.slow = False
    client.resume()
    client.pages.gone = {BOB}
    client.pages.bring()
    assert [part.name for part in window.parts] == ["receipt"]
    assert client.unacked is None


def test_what_stands_behind_a_message_comes_behind_it():
    client, window = behind(messages(1, 1))
    client.tell_in_order(Part("done", b"1"))
    client.pages.commit(client, messages(2, 2))
    client.tell_in_order(Part("done", b"2"))
    window.slow = False
    client.resume()
    assert [part.name for part in window.parts] == ["message", "done", "message", "done"]
    assert client.queue is None


def test_an_event_that_the_log_has_lost_is_told_and_keeps_nothing_back():
    client, window = behind(messages(1, 3))
    del client.pages.log[client.queue[1]], client.pages.log[client.queue[2]]
    window.slow = False
    with capture_logs() as logged:
        client.resume()
    assert [line["event"] for line in logged] == ["session.mail_missing"]
    assert (seqs(window), client.queue) == ([1], None)


def test_whatever_happens_in_whatever_order_everything_comes_once_and_in_order():
    for seed in range(30):
        chance, window = random.Random(seed), Window()
        client = session(window)
        mail, told = client.pages, 0
        mail.held_back = True
        for _ in range(400):
            what = chance.choice(["commit", "commit", "slow", "quick", "ack", "page", "page", "fails", "again", "done"])
            if what == "commit" and told < MAX_LAG - 10:
                events = [receipt(seq) if chance.random() < 0.4 else queued(seq, f"m{seq}") for seq in range(told + 1, told + 9)]
                told += len(events)
                mail.commit(client, events)
            elif what == "ack":
                client.acked(chance.randint(client.acked_upto, client.sent))
            elif what == "page" and mail.held:
                mail.bring()
            elif what == "again" and mail.again:
                mail.again.pop()()
            elif what == "done":
                client.tell_in_order(Part("done", b"%d" % told))
            elif what in ("slow", "quick"):
                window.slow = what == "slow"
                client.resume()
            mail.away, mail.most = what == "fails", chance.choice([1, 10, 64])
            assert len(mail.held) + len(mail.again) <= 1
            assert len(client.unacked or ()) <= ACK_WINDOW
        window.slow, mail.away, mail.held_back = False, False, False
        client.resume()
        for again in mail.again:
            again()
        while mail.held:
            mail.bring()
        while client.queue:
            client.acked(client.sent)
        assert seqs(window) == list(range(1, told + 1)), seed
        for number, part in enumerate(window.parts):
            if part.name == "done":
                assert all(other.seq > int(part.body) for other in window.parts[number:] if other.seq), seed
        assert max(len(asked) for asked in mail.asked) <= FLUSH


# -- with a real log


async def test_a_login_reads_a_full_window_in_one_visit_and_the_rest_as_it_is_acknowledged(friends):  # noqa: F811
    ann, bob = friends
    texts = [str(n) for n in range(ACK_WINDOW + 5)]
    for text in texts:
        await ann.sends(bob, text)
    client, window = await bob.opens()
    assert (window.texts(), bob.home.pages.read) == (texts[:ACK_WINDOW], 1), "they came before the login was answered"
    await bob.acks(client, window)
    await shown(window.texts, texts)
    assert bob.home.pages.read == 2


async def test_a_page_ends_with_the_message_that_fills_it(friends):  # noqa: F811
    ann, bob = friends
    text = "\U0001f600" * 4_096
    for _ in range(40):
        await ann.sends(bob, text)
    client, window = await bob.opens()
    first = len(window.texts())
    assert MAX_PAGE_BYTES - 20_000 < first * len(text.encode()) < MAX_PAGE_BYTES + 20_000
    await eventually(lambda: len(window.texts()) == 40)
    assert bob.home.pages.read == -(-40 // first)
    assert client.queue is None


async def test_no_state_and_no_snapshot_holds_a_text_that_waits(friends):  # noqa: F811
    """On 79ccbf3 both held each of them."""
    ann, bob = friends
    for _ in range(50):
        await ann.sends(bob, LONG)
    writer, store = bob.home.writer, bob.home.lifecycle.store
    state = writer.states[f"mailbox-{bob.uid}"]
    assert LONG not in repr(state)
    assert store.load(state.stream).waiting == state.waiting, "with the places that the commits gave"
    assert all(waiting.position and waiting.size > len(LONG) for waiting in state.waiting.values())
    assert len(store.packed_snapshot(state)[2]) < 50 * 150


async def test_what_was_read_of_somebody_who_is_erased_meanwhile_is_not_shown(friends):  # noqa: F811
    ann, bob = friends
    await ann.sends(bob, "a secret")
    store = bob.home.lifecycle.store
    (place,) = (waiting.position for waiting in store.load(f"mailbox-{bob.uid}").waiting.values())
    closed = set()
    pages = Pages(store, closed)
    (committed,) = await pages.page(bob.uid, [place])
    assert pages.shown(committed)
    closed.add(ann.uid)
    assert not pages.shown(committed)
    assert await pages.page(ann.uid, [place]) == [], "a number of another mailbox is nobody's"


def test_the_stand_in_of_these_tests_is_what_sessions_use():
    assert {"page", "shown", "later"} <= set(dir(StoredMail)) & set(dir(Pages))
