"""The model under any order of parts, reconnections and clicks. Rule: a small, slow and obvious home is the judge of the windows."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import flash_sdk as sdk
from clients.tk.model import inputs as said
from clients.tk.model.inputs import Input
from clients.tk.model.model import Model
from clients.tk.model.popups import FULL, QUIET_S
from clients.tk.model.values import ORDER, STRANGERS, Account, MessageKey, Received, Sent, SentState
from tests.clients.tk.model.views import Views

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PEOPLE = {2: "bob", 3: "carol", 4: "dave"}  # 5 is a stranger
uids = st.sampled_from(list(PEOPLE))
statuses = st.sampled_from(ORDER)
states = st.sampled_from(["delivered", "done", "bounced"])


class ClientAndHome(RuleBasedStateMachine):
    """The model on one side; on the other what the home and the person know."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.now = START
        self.listed: dict[int, str] = dict.fromkeys(PEOPLE, "offline")
        self.hidden: set[int] = set()  # removed by the person
        self.connected = False
        self.sent: dict[str, SentState] = {}
        self.mail: dict[MessageKey, sdk.Message] = {}  # whatever was sent to me
        self.given: set[MessageKey] = set()  # what reached this client
        self.closed: set[MessageKey] = set()
        self.views = Views()
        self.last: Input | None = None

    def fold(self, happened: Input) -> None:
        """Fold, and do what the views would do with the effects."""
        disturbed = self.model.dnd(self.now)
        effects = self.model.fold(happened, self.now)
        self.views.show(effects, only_urgent=disturbed and self.model.dnd(self.now))
        self.last = happened

    @initialize()
    def sign_in(self) -> None:
        self.fold(said.SignedIn(Account("http://flash", 1, "ann"), tuple(self.contacts())))

    def contacts(self) -> Iterable[sdk.Contact]:
        return (self.contact(uid) for uid in self.listed)

    def contact(self, uid: int) -> sdk.Contact:
        return sdk.Contact(uid, PEOPLE[uid], PEOPLE[uid].title(), None, True, sdk.Status(self.listed[uid]))

    # --- the home ---

    @precondition(lambda self: not self.connected)
    @rule()
    def connects(self) -> None:
        waiting = [message for key, message in self.mail.items() if key not in self.given]
        self.fold(sdk.Connected())
        self.fold(sdk.Welcome("s", 1, 30.0, "replayed" if waiting else "fresh", len(waiting), tuple(self.contacts())))
        self.connected = True
        for message in waiting:
            self.give(message)

    @precondition(lambda self: self.connected)
    @rule(reason=st.sampled_from(["lost", "silent", "goodbye"]))
    def disconnects(self, reason: str) -> None:
        self.fold(sdk.Disconnected(reason, 4.0))
        self.connected = False

    @rule(uid=st.sampled_from([*PEOPLE, 5]), urgent=st.booleans(), copies=st.integers(1, 3))
    def someone_writes(self, uid: int, urgent: bool, copies: int) -> None:
        for _ in range(copies):
            self.write(uid, urgent)

    @rule(count=st.integers(5, 8))
    def many_write_meanwhile(self, count: int) -> None:
        if self.connected:
            self.disconnects("lost")
        for _ in range(count):
            self.write(2, False)
        self.connects()

    def write(self, uid: int, urgent: bool) -> None:
        sender = sdk.Sender(uid, PEOPLE.get(uid, "eve"), "")
        id = f"m{len(self.mail) // 2}"  # ids of two senders may be the same
        if (uid, id) in self.mail:
            id += "b"
        message = sdk.Message(len(self.mail) + 1, id, sender, "hello", self.now, None, urgent)
        self.mail[uid, id] = message
        if self.connected:
            self.give(message)

    def give(self, message: sdk.Message) -> None:
        self.fold(message)
        self.given.add((message.sender.uid, message.id))

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def gives_again(self, data: st.DataObject) -> None:
        before = self.model.inbox
        self.fold(self.mail[data.draw(st.sampled_from(sorted(self.given)))])
        assert self.model.inbox == before

    @rule(uid=uids, status=statuses, reason=st.sampled_from(["login", "logoff", "lost", "status", "snapshot"]))
    def presence(self, uid: int, status: str, reason: str) -> None:
        if uid in self.listed:
            self.listed[uid] = status
            if self.connected:
                self.fold(sdk.Presence((sdk.PresenceChange(uid, sdk.Status(status), reason, True),)))

    @rule(uid=uids)
    def list_changes_elsewhere(self, uid: int) -> None:
        if not self.connected or self.model.row(uid).saving:  # what I wish is shown until the home has answered it
            return
        if uid in self.listed:
            del self.listed[uid]
            self.fold(sdk.Contacts((), (uid,)))
        else:
            self.listed[uid] = "online"
            self.fold(sdk.Contacts((self.contact(uid),), ()))

    @precondition(lambda self: self.mail and self.connected)
    @rule(data=st.data())
    def done_elsewhere(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted({key[1] for key in self.mail})))
        self.closed |= {key for key in self.mail if key[1] == id}
        self.fold(sdk.Done(id))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), state=states)
    def receipt(self, data: st.DataObject, state: str) -> None:
        id = data.draw(st.sampled_from(sorted(self.sent)))
        self.fold(sdk.Receipt(id, 2, state, self.now, None))
        self.sent[id] = max(self.sent[id], SentState[state.upper()])

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), accepted=st.booleans())
    def engine_reports(self, data: st.DataObject, accepted: bool) -> None:
        id = data.draw(st.sampled_from(sorted(self.sent)))
        self.fold(said.Accepted(id) if accepted else said.Saved(id))
        self.sent[id] = max(self.sent[id], SentState.ACCEPTED if accepted else SentState.WAITING)

    @precondition(lambda self: self.model.book.wishes)
    @rule(data=st.data(), granted=st.booleans())
    def home_answers_a_wish(self, data: st.DataObject, granted: bool) -> None:
        wish = self.model.book.wishes[data.draw(st.sampled_from(sorted(self.model.book.wishes)))]
        if wish.not_before is not None and wish.not_before > self.now:
            return
        self.fold(said.Tick())
        if not granted:
            self.fold(said.WishRefused(wish, "not now"))
            self.hidden.discard(wish.uid)
        elif wish.listed:
            self.listed.setdefault(wish.uid, "away")
            self.fold(said.WishGranted(wish, self.contact(wish.uid)))
        else:
            self.listed.pop(wish.uid, None)
            self.hidden.discard(wish.uid)
            self.fold(said.WishGranted(wish, None))

    @precondition(lambda self: isinstance(self.last, sdk.Message | sdk.Presence | sdk.Receipt | sdk.Done | sdk.Contacts))
    @rule()
    def part_comes_twice(self) -> None:
        assert self.last is not None
        shown = self.model.open_popups, self.model.groups(), self.model.inbox
        self.fold(self.last)
        assert (self.model.open_popups, self.model.groups(), self.model.inbox) == shown

    # --- the person ---

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.fold(said.Tick())

    @rule()
    def writes(self) -> None:
        id = f"mine-{len(self.sent)}"
        if 2 in self.listed and 2 not in self.hidden:
            self.fold(said.Write(id, 2, "hi"))
            self.fold(said.Write(id, 2, "hi"))  # a double click
            self.sent[id] = SentState.SAVING

    @precondition(lambda self: self.given - self.closed)
    @rule(data=st.data())
    def presses_done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.given - self.closed)))
        self.fold(said.CloseMessage(key))
        self.closed.add(key)

    @precondition(lambda self: self.views.screen)
    @rule(data=st.data(), later=st.booleans())
    def uses_a_popup(self, data: st.DataObject, later: bool) -> None:
        id = data.draw(st.sampled_from(sorted(self.views.screen)))
        self.fold(said.ClosePopup(id) if later else said.PopupMapped(id))

    @rule(uid=uids)
    def reads(self, uid: int) -> None:
        self.fold(said.MarkRead(uid))

    @rule(uid=uids)
    def removes(self, uid: int) -> None:
        if uid in self.listed:
            self.fold(said.RemoveContact(uid))
            self.hidden.add(uid)

    @rule(uid=uids)
    def undoes(self, uid: int) -> None:
        if any(removal.row.uid == uid for removal in self.model.removals):
            self.fold(said.UndoRemoval(uid))
            self.hidden.discard(uid)

    @rule(uid=uids)
    def adds(self, uid: int) -> None:
        if uid not in self.listed and not self.model.row(uid).saving:
            self.fold(said.AddContact(uid, PEOPLE[uid]))
            self.listed[uid] = "dnd"
            self.fold(said.WishGranted(self.model.book.wishes[uid], self.contact(uid)))

    @rule(status=st.sampled_from(["online", "dnd", "away"]), minutes=st.sampled_from([None, 1, 10]))
    def says_how_they_are(self, status: str, minutes: int | None) -> None:
        until = None if minutes is None else self.now + timedelta(minutes=minutes)
        self.fold(said.SetStatus(status, until=until))  # type: ignore[arg-type]

    # --- what must hold ---

    @invariant()
    def the_contact_window_is_right(self) -> None:
        rows = [row for group in self.model.groups() if group.status != STRANGERS for row in group.rows]
        assert sorted(row.uid for row in rows) == sorted(set(self.listed) - self.hidden)
        for row in rows:
            assert row.status == (self.listed[row.uid] if self.connected else "unknown")
        for group in self.model.groups():
            assert all(self.model.row(row.uid) == row for row in group.rows)
            assert all(row.status == group.status or group.status == STRANGERS for row in group.rows)
        order = [group.status for group in self.model.groups()]
        assert order == sorted(order, key=(*ORDER, STRANGERS).index)

    @invariant()
    def each_message_is_there_once_and_as_far_as_it_came(self) -> None:
        entries = [entry for uid in (*PEOPLE, 5) for entry in self.model.conversation(uid)]
        received = [entry for entry in entries if isinstance(entry, Received)]
        assert sorted(entry.key for entry in received) == sorted(self.given)
        assert {entry.key for entry in received if entry.open} == self.given - self.closed
        assert [entry.key for entry in self.model.inbox] == [name for name in self.views.entries if name in self.given - self.closed]
        assert {entry.id: entry.state for entry in entries if isinstance(entry, Sent)} == self.sent
        assert self.model.unread == sum(not entry.read for entry in received)
        assert all(self.views.entries[entry.key if isinstance(entry, Received) else entry.id] == entry for entry in entries)

    @invariant()
    def the_screen_is_bearable_and_up_to_date(self) -> None:
        assert {popup.id: popup for popup in self.model.open_popups} == self.views.screen
        messages = [popup for popup in self.views.screen.values() if popup.kind == "message"]
        assert len(messages) <= FULL
        assert all(popup.key in self.given - self.closed for popup in messages)
        if "summary" in self.views.screen:
            alone = {popup.key for popup in messages}
            counted = [entry for entry in self.model.inbox if not entry.read and entry.key not in alone]
            assert 0 < self.views.screen["summary"].count <= len(counted)

    def teardown(self) -> None:
        """In the end, whatever is open was shown, put off, read, or is counted by the summary."""
        if self.model.account is None:
            return
        self.fold(said.SetStatus("online"))
        self.now += timedelta(seconds=2 * QUIET_S)
        self.fold(said.Tick())
        unseen = [entry for entry in self.model.inbox if not entry.read and f"message:{entry.uid}:{entry.id}" not in self.views.shown]
        assert not unseen or "summary" in self.views.shown


TestClientAndHome = ClientAndHome.TestCase
TestClientAndHome.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def test_receipts_in_any_order_say_the_same() -> None:
    steps: list[Input] = [
        said.Saved("a"),
        said.Accepted("a"),
        *(sdk.Receipt("a", 2, state, START, None) for state in ("delivered", "done", "delivered")),
    ]
    ends = set()
    for order in permutations(steps):
        model = Model()
        model.fold(said.SignedIn(Account("http://flash", 1, "ann")), START)
        model.fold(said.Write("a", 2, "hi"), START)
        for step in order:
            model.fold(step, START)
        ends.add(model.conversation(2))
    assert ends == {(replace(Sent("a", 2, "hi", START), state=SentState.DONE),)}
