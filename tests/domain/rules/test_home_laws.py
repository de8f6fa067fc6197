"""The laws of users and mailboxes, whatever is asked of them in whatever order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Rejected
from domain.event import Event, in_stream
from domain.events.home import PresenceEvent
from domain.mailbox.commands import Acknowledge, Expire, MarkDone, Resume
from domain.mailbox.state import MAX_RECEIPTS, MAX_WAITING, MailboxState, WaitingMessage
from domain.rules.home import rules_for
from domain.user.commands import AddContacter, Adopt, LapseStatus, LogIn, RemoveContact, RemoveContacter
from domain.user.decide import MAX_SESSIONS
from domain.user.state import UserState
from tests.domain.given import NOW
from tests.domain.home_stories import BOBS_CONTACT, WHO, log_in, log_off, put_contact, queue, queue_receipt, send, set_status
from tests.support.snapshots import restored

SESSIONS = st.sampled_from([f"s{n}" for n in range(MAX_SESSIONS + 3)])
OTHERS = st.integers(2, 5)
IDS = st.sampled_from([f"m{n}" for n in range(8)])
MOMENTS = st.integers(0, 100).map(lambda seconds: NOW + seconds)

USER_COMMANDS = st.one_of(
    st.builds(lambda name: Adopt(handle="ann", name=name, **WHO), st.sampled_from(["Ann", "Ann Lee"])),
    st.builds(log_in, SESSIONS, st.none() | SESSIONS),
    SESSIONS.map(log_off),
    st.builds(set_status, st.sampled_from(["online", "away", "dnd"]), st.sampled_from(["", "lunch"]), st.none() | MOMENTS),
    st.just(LapseStatus(**WHO)),
    st.builds(lambda uid, notify: put_contact(BOBS_CONTACT, uid=uid, notify=notify), OTHERS, st.booleans()),
    st.builds(lambda uid: RemoveContact(contact=uid, **WHO), OTHERS),
    st.builds(lambda uid: AddContacter(contacter=uid, home="h2", **WHO), OTHERS),
    st.builds(lambda uid: RemoveContacter(contacter=uid, **WHO), OTHERS),
    st.builds(lambda id_, to: send(id_, to=to), IDS, OTHERS),
)
RULES = rules_for("h1")
MAILBOX_COMMANDS = st.one_of(
    IDS.map(queue),
    IDS.map(queue_receipt),
    st.builds(lambda upto: Acknowledge(session="s1", upto=upto, **WHO), st.integers(-1, 30)),
    st.builds(lambda seen: Resume(session="s1", seen=seen, **WHO), st.integers(0, 30)),
    st.builds(lambda id_, reply: MarkDone(id=id_, reply=reply, **WHO), IDS, st.booleans()),
    st.builds(lambda before: Expire(before=before, **WHO), MOMENTS),
)


def live(state, commands) -> list[Event]:
    """Decide and fold, as the writer does; every event that came of it."""
    history: list[Event] = []
    for command, now in commands:
        if isinstance(command, LogIn) and command.session in state.sessions:
            continue  # ids of sessions are never given twice
        try:
            events = RULES.decide(state, command, now)
        except Rejected:
            continue
        events = in_stream(events, state.stream, state.version)
        for event in events:
            RULES.evolve(state, event)
        history += events
    return history


def picture(state) -> object:
    return state.version, state.to_snapshot(), [list(value) for value in state.to_snapshot().values() if isinstance(value, dict)]


def check_replay(fresh, state, history, cut) -> None:
    """A fold of the history is the live state, and so is a snapshot anywhere in it with the events after it."""
    before = fresh()
    for event in history[:cut]:
        RULES.evolve(before, event)
    loaded = restored(fresh(), before)
    for event in history[cut:]:
        RULES.evolve(loaded, event)
        RULES.evolve(before, event)
    assert picture(before) == picture(state)
    assert picture(loaded) == picture(state)
    assert [event.originator_version for event in history] == list(range(1, len(history) + 1))


@settings(max_examples=150)
@given(st.lists(st.tuples(USER_COMMANDS, MOMENTS), max_size=60), st.data())
def test_a_user_stays_sound_and_replays(commands, data):
    state = UserState("user-1")
    for command in commands:
        before = len(state.sessions)
        events = live(state, [command])
        assert len(state.sessions) <= MAX_SESSIONS
        assert abs(len(state.sessions) - before) <= 1
        assert state.status == (state.chosen if state.sessions else "offline")
        assert all(uid == contact.uid and contact.handle for uid, contact in state.contacts.items())
        for event in events:
            if isinstance(event, PresenceEvent):
                assert event.status == state.status
    state = UserState("user-1")
    history = live(state, commands)
    check_replay(lambda: UserState("user-1"), state, history, data.draw(st.integers(0, len(history))))


@settings(max_examples=150)
@given(st.lists(st.tuples(MAILBOX_COMMANDS, MOMENTS), max_size=60), st.data())
def test_a_mailbox_stays_sound_and_replays(commands, data):
    state = MailboxState("mailbox-1")
    given_out = 0
    for command in commands:
        for event in live(state, [command]):
            if hasattr(event, "seq") and event.TOPIC.endswith("queued"):
                assert event.seq == given_out + 1
                given_out = event.seq
        messages = sum(isinstance(event, WaitingMessage) for event in state.waiting.values())
        assert state.messages == messages <= MAX_WAITING
        assert len(state.waiting) - messages <= MAX_RECEIPTS
        assert state.last_seq == given_out
        assert list(state.waiting) == sorted(state.waiting)
        assert all(seq == event.seq for seq, event in state.waiting.items())
    state = MailboxState("mailbox-1")
    history = live(state, commands)
    check_replay(lambda: MailboxState("mailbox-1"), state, history, data.draw(st.integers(0, len(history))))


def test_a_mailbox_at_its_limits_replays():
    state = MailboxState("mailbox-1")
    commands = [(queue(f"m{n}"), NOW) for n in range(MAX_WAITING + 5)] + [(queue_receipt(f"r{n}"), NOW) for n in range(MAX_RECEIPTS + 5)]
    history = live(state, commands)
    assert (state.messages, len(state.waiting), state.last_seq) == (MAX_WAITING, MAX_WAITING + MAX_RECEIPTS, MAX_WAITING + MAX_RECEIPTS + 5)
    check_replay(lambda: MailboxState("mailbox-1"), state, history, 1_500)
