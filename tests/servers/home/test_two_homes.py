"""Ann sends, Bob receives: popups and presence between two homes, through the doors that the edge uses."""

import asyncio
from dataclasses import replace

import pytest

from domain.errors import NotAContact, UnknownMessage, UnknownSession, UnknownUser
from domain.mailbox.state import MAX_WAITING
from servers.sessions.part_bodies import instant
from tests.servers.homes import Town, shown


@pytest.fixture
async def town(tmp_path, store_url):
    town = Town(tmp_path, store_url)
    await town.start("h1", "h2")
    yield town
    await town.stop()


@pytest.fixture(params=["h2", "h1"], ids=["another home", "the same home"])
async def friends(town, request):
    """Ann and Bob, who have each other as contacts."""
    ann, bob = town.person("ann", "h1"), town.person("bob", request.param)
    await ann.adds(bob)
    await bob.adds(ann)
    await town.settled()
    return ann, bob


async def test_ann_sends_and_bob_receives(friends):
    ann, bob = friends
    session, window = await bob.opens()
    _, anns = await ann.opens()
    id_ = await ann.sends(bob, "pop over?")
    await shown(window.texts, ["pop over?"])
    (message,) = window.bodies("message")
    assert message["from"] == {"uid": ann.uid, "handle": "ann", "name": "Ann"}
    await bob.acks(session, window)
    await shown(anns.states, [(id_, "delivered", None)])


async def test_a_popup_waits_for_bob_and_arrives_once(town, friends):
    ann, bob = friends
    for text in ("one", "two", "three"):
        await ann.sends(bob, text)
    await town.settled()
    session, window = await bob.opens()
    assert window.bodies("welcome")[0]["resume"] == {"verdict": "replayed", "count": 3}
    assert window.texts() == ["one", "two", "three"]
    await bob.acks(session, window)
    _, again = await bob.opens()
    assert again.bodies("welcome")[0]["resume"] == {"verdict": "fresh", "count": 0}
    assert again.texts() == []


async def test_a_resent_popup_arrives_once(town, friends):
    ann, bob = friends
    _, window = await bob.opens()
    for _ in range(3):
        await ann.sends(bob, "hello", id="same")
    await ann.sends(bob, "end")
    await shown(window.texts, ["hello", "end"])


async def test_popups_keep_their_order(town, friends):
    ann, bob = friends
    session, window = await bob.opens()
    texts = [str(n) for n in range(200)]
    await asyncio.gather(*(ann.sends(bob, text) for text in texts))
    await town.settled()
    while len(window.texts()) < 200:
        await bob.acks(session, window)
    assert window.texts() == texts


async def test_a_reply_closes_the_popup_on_bobs_other_session_and_tells_ann(friends):
    ann, bob = friends
    _, laptop = await bob.opens()
    _, desktop = await bob.opens()
    _, anns = await ann.opens()
    id_ = await ann.sends(bob, "pop over?")
    await shown(desktop.texts, ["pop over?"])
    await bob.sends(ann, "at five", in_reply_to=id_)
    await shown(lambda: [laptop.bodies("done"), desktop.bodies("done")], [[{"id": id_}], [{"id": id_}]])
    await shown(anns.texts, ["at five"])
    await shown(anns.states, [(id_, "done", None)])


async def test_done_is_told_once(town, friends):
    ann, bob = friends
    _, window = await bob.opens()
    _, anns = await ann.opens()
    id_ = await ann.sends(bob, "hi")
    await shown(window.texts, ["hi"])
    await bob.home.done(bob.who, id_)
    await bob.home.done(bob.who, id_)
    await shown(anns.states, [(id_, "done", None)])
    await town.settled()
    assert window.bodies("done") == [{"id": id_}]
    assert anns.states() == [(id_, "done", None)]
    with pytest.raises(UnknownMessage):
        await ann.home.done(ann.who, id_)


async def test_both_sessions_get_a_popup_although_the_first_acks_at_once(friends):
    ann, bob = friends
    first, laptop = await bob.opens()
    second, desktop = await bob.opens()
    desktop.slow = True
    for text in ("one", "two"):
        await ann.sends(bob, text)
    await shown(laptop.texts, ["one", "two"])
    await bob.acks(first, laptop)
    await ann.sends(bob, "three")
    await shown(laptop.texts, ["one", "two", "three"])
    desktop.slow = False
    second.resume()
    await shown(desktop.texts, ["one", "two", "three"])


async def test_a_full_mailbox_bounces_and_says_why(town, friends):
    ann, bob = friends
    await asyncio.gather(*(ann.sends(bob, "hi") for _ in range(MAX_WAITING)))
    late = await ann.sends(bob, "too much")
    _, anns = await ann.opens()
    await shown(anns.states, [(late, "bounced", "mailbox_full")])
    await town.settled()
    session, window = await bob.opens()
    while window.newest != MAX_WAITING:
        await bob.acks(session, window)
    assert "too much" not in window.texts()
    await bob.acks(session, window)
    await ann.sends(bob, "again")
    await shown(lambda: window.texts()[-1], "again")


async def test_what_waits_too_long_expires_and_ann_is_told(town, friends):
    ann, bob = friends
    old = await ann.sends(bob, "old")
    await town.settled()
    town.clock.now += 31 * 86_400
    new = await ann.sends(bob, "new")
    _, anns = await ann.opens()
    await town.settled()
    await town.closes(bob.home_name)  # housekeeping looks once when a home starts, then every hour
    await town.opens(bob.home_name)
    await town.meet()
    if bob.home_name == "h1":
        _, anns = await ann.opens()
    await shown(anns.states, [(old, "bounced", "expired")])
    _, window = await bob.opens()
    assert window.texts() == ["new"]
    assert new != old


async def test_presence_shows_and_stops_when_the_contact_is_removed(town, friends):
    ann, bob = friends
    _, anns = await ann.opens()
    assert anns.bodies("welcome")[0]["contacts"][0]["presence"]["status"] == "offline"
    session, _ = await bob.opens()
    await shown(lambda: anns.statuses(bob.uid), [("online", "login")])
    await bob.home.set_status(bob.who, "away", "lunch", None)
    await shown(lambda: anns.statuses(bob.uid)[1:], [("away", "status")])
    await bob.opens()
    await bob.home.log_off(bob.who, session.id)
    await ann.home.contacts.remove(ann.who, bob.uid)
    assert anns.bodies("contacts") == [{"added": [], "removed": [bob.uid]}]
    await town.settled()
    await bob.home.set_status(bob.who, "dnd", "", None)
    await town.settled()
    assert [status for status, _ in anns.statuses(bob.uid)] == ["online", "away"]
    with pytest.raises(NotAContact):
        await ann.sends(bob, "hi")


async def test_a_status_is_told_to_every_session_of_its_user(town):
    ann = town.person("ann", "h1")
    _, first = await ann.opens()
    assert first.bodies("welcome")[0]["status"] == {"status": "online", "note": "", "until": None}
    until = town.clock.now + 60
    await ann.home.set_status(ann.who, "dnd", "meeting", until)
    await ann.home.set_status(ann.who, "dnd", "meeting", until)
    _, second = await ann.opens()
    told = {"status": "dnd", "note": "meeting", "until": instant(until)}
    assert second.bodies("welcome")[0]["status"] == told
    await shown(lambda: first.bodies("status"), [told])
    assert second.bodies("status") == []
    town.clock.now += 61
    over = {"status": "online", "note": "", "until": None}
    await shown(lambda: (first.bodies("status")[1:], second.bodies("status")), ([over], [over]))


async def test_a_status_lapses_by_itself(town, friends):
    ann, bob = friends
    _, anns = await ann.opens()
    await bob.opens()
    await bob.home.set_status(bob.who, "dnd", "meeting", town.clock.now + 60)
    await shown(lambda: anns.statuses(bob.uid)[-1:], [("dnd", "status")])
    town.clock.now += 61
    await shown(lambda: anns.statuses(bob.uid)[-1:], [("online", "status")])


async def test_a_note_that_lapses_with_a_second_login_is_gone_for_everybody(town, friends):
    ann, bob = friends
    await bob.home.housekeeping.stop()  # it comes too late: the login is first to see that the time is over
    _, anns = await ann.opens()
    _, bobs = await bob.opens()
    await bob.home.set_status(bob.who, "online", "back soon", town.clock.now + 60)
    await shown(lambda: [c["note"] for body in anns.bodies("presence") for c in body["changes"]][-1:], ["back soon"])
    town.clock.now += 61
    await bob.opens()
    await shown(lambda: [c["note"] for body in anns.bodies("presence") for c in body["changes"]][-1:], [""])
    assert bobs.bodies("status")[1:] == [{"status": "online", "note": "", "until": None}]
    (view,) = await ann.lists()
    assert view.presence.note == ""


async def test_a_restart_loses_nobody_who_comes_back_and_ends_who_does_not(town, friends):
    _, bob = friends
    carl = town.person("carl", bob.home_name)
    other = town.person("dora", "h1" if bob.home_name == "h2" else "h2")
    for person in (bob, carl):
        await other.adds(person)
    await town.settled()
    _, window = await other.opens()
    before, _ = await bob.opens()
    await carl.opens()
    await shown(lambda: (window.statuses(bob.uid), window.statuses(carl.uid)), ([("online", "login")], [("online", "login")]))
    await town.settled()
    town.housekeeping = replace(town.housekeeping, restart_grace_s=0.5)
    await town.closes(bob.home_name)
    await town.opens(bob.home_name)
    await bob.opens(resume=(before.id, 0))
    await shown(lambda: window.statuses(carl.uid)[-1:], [("offline", "lost")])
    assert ("offline", "lost") not in window.statuses(bob.uid)
    assert len(bob.home.projections.presence.sessions[bob.uid]) == 1
    assert carl.uid not in bob.home.projections.presence.sessions


async def test_a_home_that_falls_silent_is_unknown_and_comes_back(town):
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.adds(bob)
    await town.settled()
    _, anns = await ann.opens()
    await bob.opens()
    await shown(lambda: anns.statuses(bob.uid)[-1:], [("online", "login")])
    await town.settled()
    await town.closes("h2")
    town.monotonic.now += 10
    await shown(lambda: anns.statuses(bob.uid)[-1:], [("unknown", "home_down")])
    assert (await ann.lists())[0].presence.status == "unknown"
    town.housekeeping = replace(town.housekeeping, restart_grace_s=100)
    await town.opens("h2")
    await shown(lambda: anns.statuses(bob.uid)[-1:], [("online", "home_up")])


async def test_a_home_never_heard_of_is_unknown(town):
    ann, eve = town.person("ann", "h1"), town.person("eve", "h9")
    await town.broker.declare_inbox("h9")
    assert (await ann.adds(eve)).presence.status == "unknown"


async def test_nobody_acts_for_somebody_else(friends):
    ann, bob = friends
    session, window = await bob.opens()
    await ann.sends(bob, "hi")
    await shown(window.texts, ["hi"])
    with pytest.raises(UnknownSession):
        await ann.home.acknowledge(ann.who, session.id, 1)
    await ann.home.log_off(ann.who, session.id)
    assert not window.closed
    with pytest.raises(UnknownUser):
        await ann.home.contacts.put(ann.who, 999, None, False)


async def test_contacts_change_on_every_session_in_order(town):
    ann, bob = town.person("ann", "h1"), town.person("bob", "h1")
    _, first = await ann.opens()
    _, second = await ann.opens()
    await ann.adds(bob)
    await asyncio.gather(
        ann.home.contacts.remove(ann.who, bob.uid), ann.adds(bob, alias="B"), ann.home.contacts.remove(ann.who, bob.uid), ann.adds(bob)
    )
    await town.settled()
    ends = [(len(body["added"]), body["removed"]) for body in first.bodies("contacts")]
    assert first.parts[1:] == second.parts[1:]
    listed = bool(await ann.lists())
    assert ends[-1] == ((1, []) if listed else (0, [bob.uid]))
    assert all(contact.handle == "bob" for contact in await ann.lists())
