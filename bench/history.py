"""A made-up history of a whole installation, on which the audit is measured. Rule: the real rules make real events in real envelopes.

All users log in, add contacts and write. The recipient of a popup acknowledges it. Now and then a user logs in or off. Every tenth popup
goes from one program to another, so that two streams are long.
"""

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from broker import envelope
from broker.envelope import EventRecord
from domain.event import Event, in_stream, stored_fields
from domain.events.global_server import UserRegistered
from domain.mailbox.commands import Acknowledge, MarkDone
from domain.rules.home import RECIPIENTS, rules_for
from domain.rules.rules import Command
from domain.user.commands import LogIn, LogOff, PutContact, Send
from domain.user.state import Contact

HOMES = ("h1", "h2")
START = 1_700_000_000.0
STEP_S = 0.02  # between two commands: a million events take some hours
BATCH = 200  # events in a message of the history: those of 50 ms at a busy home
PROGRAM, PEER = 1, 2  # the uids of the two programs with long streams
CONTACTS = 10
TEXT = "Are you coming to lunch? We leave at twelve."


class MadeHistory:
    """An installation of `users` without its servers: `bodies` are what they would have published."""

    def __init__(self, users: int) -> None:
        self.users = users
        self.now = START
        self.events = 0
        self.last_message = ""
        self._chance = random.Random(1)  # the same history each time
        self._states: dict[str, Any] = {}
        self._positions = dict.fromkeys((*HOMES, "global"), 0)
        self._batches: dict[str, list[EventRecord]] = {source: [] for source in self._positions}

    def bodies(self, events: int) -> Iterator[bytes]:
        """Messages of the history with at least `events` events in all."""
        yield from self._arrive()
        while self.events < events:
            self.now += STEP_S
            deed = self._chance.random()
            if deed < 0.1:
                self._popup(PROGRAM, PEER)
            elif deed < 0.8:
                self._popup(sender := self._anybody(), self._contact(sender, self._chance.randrange(1, CONTACTS + 1)))
            else:
                self._comes_or_goes(self._anybody())
            yield from self._full(BATCH)
        yield from self._full(1)

    def _arrive(self) -> Iterator[bytes]:
        for uid in range(1, self.users + 1):
            at = int(self.now * 1e6) / 1e6
            registered = UserRegistered(
                at=at, cause=f"r{uid}", uid=uid, handle=f"u{uid}", home=_home(uid), profile={"full_name": f"U {uid}"}
            )
            self._put("global", in_stream([registered], f"account-{uid}", 0)[0])
            self._comes_or_goes(uid)
            for step in range(1, CONTACTS + 1):
                other = self._contact(uid, step)
                contact = Contact(other, f"u{other}", f"U {other}", _home(other), None, False)
                self._do(_home(uid), PutContact(uid=uid, cause=self._id(), contact=contact))
            yield from self._full(BATCH)

    def _popup(self, sender: int, to: int) -> None:
        id = self.last_message = self._id()
        handle = f"u{sender}"
        self._do(
            _home(sender), Send(uid=sender, cause=id, id=id, handle=handle, name=handle, to=to, text=TEXT, in_reply_to=None, urgent=False)
        )
        for uid in (to, sender):
            upto = self._states[f"mailbox-{uid}"].last_seq
            self._do(_home(uid), Acknowledge(uid=uid, cause=f"s{uid}", session=f"s{uid}", upto=upto))
        self._do(_home(to), MarkDone(uid=to, cause=id, id=id))

    def _comes_or_goes(self, uid: int) -> None:
        state, session = self._states.get(f"user-{uid}"), f"s{uid}"
        if state is not None and session in state.sessions:
            self._do(_home(uid), LogOff(uid=uid, cause=session, session=session, reason="logoff"))
        else:
            self._do(_home(uid), LogIn(uid=uid, cause=session, handle=f"u{uid}", name=f"U {uid}", session=session, client="bench"))

    def _do(self, home: str, command: Command) -> None:
        """Decide, fold, and let every home react, as writer, outbox and inbox do."""
        waiting = deque([(home, command)])
        while waiting:
            home, command = waiting.popleft()
            stream = command.stream
            rules = rules_for(home)
            state: Any = self._states.get(stream)
            if state is None:
                state = self._states[stream] = rules.new_state(stream)
            events = rules.decide(state, command, int(self.now * 1e6) / 1e6)
            for event in in_stream(events, stream, state.version):
                rules.evolve(state, event)
                self._put(home, event)
                find = RECIPIENTS.get(type(event))
                for other in {home, *(find(event) if find is not None else ())}:
                    waiting.extend((other, reaction) for reaction in rules_for(other).react(event, home))

    def _put(self, source: str, event: Event) -> None:
        self.events += 1
        self._positions[source] += 1
        fields = stored_fields(event)
        if event.class_version > 1:
            fields["class_version"] = event.class_version
        data = msgspec.msgpack.encode(fields)
        record = EventRecord(self._positions[source], event.originator_id, event.originator_version, event.TOPIC, event.at, data)
        self._batches[source].append(record)

    def _full(self, least: int) -> Iterator[bytes]:
        for source, batch in self._batches.items():
            if len(batch) >= least:
                yield envelope.encode(source, batch)
                batch.clear()

    def _anybody(self) -> int:
        return self._chance.randrange(1, self.users + 1)

    def _contact(self, uid: int, step: int) -> int:
        return (uid + step - 1) % self.users + 1

    def _id(self) -> str:
        return f"{self._chance.getrandbits(96):024x}"


def _home(uid: int) -> str:
    """The home of a user: users with consecutive uids have different homes."""
    return HOMES[uid % len(HOMES)]
