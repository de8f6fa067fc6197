"""h3 is enrolled and boxes its mail well, and what it says in it is not true. Rule: the lie is set aside with its reason, and true mail of
the same letter and of everybody else goes on."""

from typing import Any

import msgpack
import pytest
from msgspec.structs import replace

from broker import topology
from broker.envelope import EventRecord
from broker.port import Outgoing
from domain.event import Event, in_stream, stored_fields
from domain.events.global_server import AccountClosed
from domain.events.home import ContactAdded, LoggedIn, MessageSent
from servers.trust.server_identity import ServerIdentity
from servers.trust.trust import Trust
from servers.trust.user_words import user_word
from tests.domain.home_stories import WHEN
from tests.servers.homes import Person, Town, shown
from tests.servers.members import mail_from
from tests.support.waiting import eventually

GUS = 30  # he lives at h3, and says what h3 wants


def word(town: Town, uid: int, handle: str, home: str) -> bytes:
    return user_word(town.registry.trust.identity, uid, handle, home)


def records(events: list[tuple[str, Event]]) -> list[EventRecord]:
    """In the log of h3, from position 1."""
    made = []
    for position, (stream, event) in enumerate(events, 1):
        (event,) = in_stream([event], stream, position - 1)
        version = {"class_version": event.class_version} if event.class_version > 1 else {}
        made.append(EventRecord(position, stream, position, event.TOPIC, event.at, msgpack.packb(stored_fields(event) | version)))
    return made


async def says(town: Town, liar: Trust, to: str, events: list[tuple[str, Event]], *words: bytes) -> None:
    """Mail of h3, as it is after it has met the home."""
    body = mail_from(liar, to, records(events), life=1, words=words)
    await town.broker.publish([Outgoing(topology.HOMES, to, body, mandatory=True)])


def popup(to: Person, text: str, uid: int = GUS, handle: str = "gus", **but: Any) -> MessageSent:
    sent = MessageSent(
        id=text.replace(" ", "-"), uid=uid, handle=handle, name=handle.title(), to=to.uid, to_home=to.home_name, text=text,
        in_reply_to=None, urgent=False, **WHEN,
    )  # fmt: skip
    return replace(sent, **but)


async def reason(town: Town, home: str) -> str:
    """Why the one dead letter is one."""
    await eventually(lambda: town.homes[home].lifecycle.inbox.dead == 1)
    (letter,) = await town.broker.dead_letters()
    return letter.reason


def lies(ann: Person, bob: Person) -> dict[str, tuple[str, Event, str]]:
    """What h3 tells h1, where Bob lives: (stream, event, why it is not believed). Ann lives at h2."""
    added = ContactAdded(uid=bob.uid, handle="bob", name="Bob", home="h1", alias=None, notify=False, **WHEN)
    login = LoggedIn(session="s", name="Ann", client="x", handle="ann", status="online", previous="offline", note="", **WHEN)
    closed = AccountClosed(uid=bob.uid, reason="a lie", home="h1", homes=["h1"], **WHEN)
    return {
        "it closes Bob's account": (f"account-{bob.uid}", closed, "only the Global Server may say it"),
        "it sends as Ann": (f"user-{ann.uid}", popup(bob, "forged", ann.uid, "ann"), "does not live there"),
        "it sends as Ann in a stream of its own": (f"user-{GUS}", popup(bob, "forged", ann.uid, "gus"), "cannot send as user"),
        "it gives Gus the handle of Ann": (f"user-{GUS}", popup(bob, "forged", handle="ann"), "has another handle"),
        "it sends to somebody who lives elsewhere": (f"user-{GUS}", popup(ann, "forged", to_home="h1"), "does not live here"),
        "it sends to nobody": (f"user-{GUS}", replace(popup(bob, "forged"), to=999), "there is no user 999"),
        "it has Ann watch Bob": (f"user-{ann.uid}", added, "does not live there"),
        "it logs Ann in": (f"user-{ann.uid}", login, "does not live there"),
        "it puts a popup into another stream": (f"mailbox-{GUS}", popup(bob, "forged"), "in no stream"),
    }


LIES = list(lies(*(Person(None, uid, name, home) for uid, name, home in ((1, "ann", "h2"), (2, "bob", "h1")))))  # type: ignore[arg-type]


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_set_aside_and_the_truth_of_the_same_letter_takes_effect(town: Town, liar: Trust, lie: str) -> None:
    ann, bob = town.person("ann", "h2"), town.person("bob", "h1")
    _, window = await bob.opens()
    stream, event, why = lies(ann, bob)[lie]
    words = [word(town, GUS, "gus", "h3"), word(town, ann.uid, "ann", "h2")]
    true = [(f"user-{GUS}", popup(bob, "one")), (stream, event), (f"user-{GUS}", popup(bob, "two"))]
    await says(town, liar, "h1", true, *words)
    if lie == "it sends to nobody":  # the Global Server is asked first, and h3 sends it again
        await eventually(lambda: 999 in town.homes["h1"].lifecycle.word_asking.nobodies)
        await says(town, liar, "h1", true, *words)
    await shown(window.texts, ["one", "two"])
    assert why in await reason(town, "h1")
    assert bob.uid not in town.homes["h1"].projections.closed.uids
    assert town.homes["h1"].lifecycle.inbox.task.alive
    assert town.homes["h1"].ready() == "The Global Server's public key is not known yet."  # the town's stand-in has none


async def test_a_word_that_it_signs_itself_is_worth_nothing(town: Town, liar: Trust) -> None:
    """Its mail is asked for again, until it brings a word that the Global Server signed."""
    bob = town.person("bob", "h1")
    _, window = await bob.opens()
    inbox, town.global_is_away = town.homes["h1"].lifecycle.inbox, True
    for forged in (user_word(liar.identity, GUS, "gus", "h3"), user_word(ServerIdentity("global", b"x" * 32), GUS, "gus", "h3"), b"junk"):
        before = inbox.holes
        await says(town, liar, "h1", [(f"user-{GUS}", popup(bob, "hello"))], forged)
        await eventually(lambda before=before: inbox.holes > before)
    assert window.texts() == []
    await says(town, liar, "h1", [(f"user-{GUS}", popup(bob, "hello"))], word(town, GUS, "gus", "h3"))
    await shown(window.texts, ["hello"])


async def test_a_word_is_kept_over_a_restart_and_needs_nobody(town: Town, liar: Trust) -> None:
    """Gus's word came once; then h1 is started again, and the Global Server is away."""
    bob = town.person("bob", "h1")
    await bob.opens()
    await says(town, liar, "h1", [(f"user-{GUS}", popup(bob, "one"))], word(town, GUS, "gus", "h3"))
    await eventually(lambda: town.homes["h1"].lifecycle.inbox.dedup.position("h3") == 1)
    await town.closes("h1")
    town.global_is_away = True
    await town.opens("h1")
    _, window = await bob.opens()
    events = [(f"user-{GUS}", popup(bob, "one")), (f"user-{GUS}", popup(bob, "two"))]
    await says(town, liar, "h1", events)
    await shown(window.texts, ["one", "two"])


async def test_the_word_of_a_new_sender_goes_with_the_first_mail_and_with_no_other(town: Town) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.adds(bob)
    await ann.sends(bob, "one")
    await town.settled()
    words = town.homes["h2"].lifecycle.words
    assert words.known[ann.uid][:2] == ("ann", "h1")
    words.known.clear()
    _, window = await bob.opens()
    await ann.sends(bob, "two")
    await shown(window.texts, ["one", "two"])
    assert words.known[ann.uid][:2] == ("ann", "h1"), "it is read from where it was stored"
    assert town.homes["h2"].lifecycle.inbox.holes == 0
