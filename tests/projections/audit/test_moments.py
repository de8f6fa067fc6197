"""Who somebody was and what they had at a moment, and that checkpoints only shorten the way there."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace

from domain.errors import Unavailable, UnknownUser
from domain.event import Event
from domain.events.home import ContactAdded, ContactChanged, ContacterAdded, ContactRemoved, LoggedOff, UserAdopted
from domain.registry.registered_home import GLOBAL
from projections.audit.moments import DOUBT_S
from projections.audit.reader import Reader
from projections.audit.rows import Online, Person, Shown
from servers.audit.decoder import HistoryDecoder
from tests.projections.audit.by_hand import ANN, BOB, T0, World, added, logged_in, logged_off, queued, registered

CARL, DORA = 7, 8  # of h2


class Decoding:
    """Decodes the history, and notes of which events."""

    def __init__(self) -> None:
        self.versions: list[tuple[str, str, int]] = []

    def decode(self, source: str, stream: str, version: int, topic: str, data: bytes) -> Event:
        self.versions.append((source, stream, version))
        return HistoryDecoder().decode(source, stream, version, topic, data)


@contextmanager
def reading(world: World, decoding: Decoding, *, personal: bool = False) -> Iterator[Reader]:
    reader = world.read_with(decoding.decode, personal=personal)
    yield reader
    reader.close()


def test_people_are_found_by_number_and_by_login_name(world):
    moments = world.reader.moments
    assert moments.person(ANN) == Person(ANN, "ann", "h1")
    assert moments.by_handle("Bob") == Person(BOB, "bob", "h2")
    assert moments.handles([ANN, BOB, 99]) == {ANN: "ann", BOB: "bob"}


def test_who_is_not_in_the_history_is_not_known(world):
    with pytest.raises(UnknownUser) as refusal:
        world.reader.moments.person(99)
    assert (refusal.value.detail, refusal.value.extra) == ("the history knows no user 99", {"uid": 99})
    with pytest.raises(UnknownUser) as refusal:
        world.reader.moments.by_handle("nobody")
    assert (refusal.value.detail, refusal.value.extra) == ("the history knows no user 'nobody'", {"handle": "nobody"})


def test_somebody_whom_the_history_has_not_named_has_a_number_only(world):
    world.tells("h2", f"user-{CARL}", logged_in("carl", T0 + 120))
    moments, carl = world.reader.moments, Person(CARL, "", "")
    state = moments.state(CARL, T0 + 130)
    assert (state.person, state.at, state.user.sessions, state.mailbox.version) == (carl, T0 + 130, {"carl": "test"}, 0)
    assert moments.state(CARL, T0 + 119).user.version == 0, "it had not happened yet"
    assert moments.presence(CARL, T0 + 130).status == "online"
    assert moments.online(T0 + 130)[2:] == [Online(carl, "online", T0 + 120)]


@pytest.mark.parametrize("kind", ["user", "mailbox"])
def test_a_state_is_complete_unless_an_event_of_either_stream_is_missing(world, kind):
    stream = f"{kind}-{BOB}"
    later = [queued(seq, T0 + 120 + seq) if kind == "mailbox" else added(10 + seq, "x", "h2", T0 + 120 + seq) for seq in range(5)]
    world.tells("h2", stream, later[0])
    assert world.reader.moments.state(BOB, T0 + 200).complete
    world.loses("h2", stream)
    for event in later[1:]:
        world.tells("h2", stream, event)
        assert not world.reader.moments.state(BOB, T0 + 200).complete, "neither behind a checkpoint nor behind an event that is there"
    assert world.reader.moments.state(BOB, T0 + 120).complete, "it was, at that moment"
    state = world.reader.moments.state(BOB, T0 + 200)
    assert list(state.mailbox.waiting if kind == "mailbox" else state.user.contacts)[-1] == (4 if kind == "mailbox" else 14)


def test_a_past_state_is_folded_from_the_nearest_checkpoint(world):
    contacts = [added(uid, "x", "h2", T0 + 100 + uid, name=f"X{uid}") for uid in range(10, 20)]
    world.tells("h2", f"user-{BOB}", heard_of_ann(T0 + 105, "k"), *contacts)
    decoding = Decoding()
    with reading(world, decoding) as reader:
        user = reader.moments.state(BOB, T0 + 117.5).user
    assert decoding.versions == [("h2", f"user-{BOB}", 11)], "a checkpoint stands at every second version"
    assert (user.version, sorted(user.contacts), user.sessions) == (11, list(range(10, 18)), {"bob": "test"})
    assert user.contacters == {ANN: "h1"}
    assert [user.contacts[uid].name for uid in (16, 17)] == ["", "X17"], "checkpoints hold nothing personal"


def test_who_may_read_personal_fields_folds_every_event(world):
    world.tells("h2", f"user-{BOB}", *(added(uid, "x", "h2", T0 + 100 + uid, name=f"X{uid}") for uid in range(10, 20)))
    decoding = Decoding()
    with reading(world, decoding, personal=True) as reader:
        user = reader.moments.state(BOB, T0 + 118.5).user
    assert decoding.versions == [("h2", f"user-{BOB}", version) for version in range(1, 12)]
    assert [contact.name for contact in user.contacts.values()] == [f"X{uid}" for uid in range(10, 19)]


def test_the_presence_of_a_moment_is_read_from_three_events_of_the_users_own_home(world):
    sessions = [logged_in(f"s{n}", T0 + 120 + n) for n in range(20)]
    world.tells("h2", f"user-{BOB}", *sessions)
    decoding = Decoding()
    with reading(world, decoding) as reader:
        assert reader.moments.presence(BOB, T0 + 200).status == "online"
    assert decoding.versions == [("h2", f"user-{BOB}", 22)], "the last event is the last change and the last login, too"


def test_no_checkpoint_is_made_of_what_another_home_says(world):
    world.tells("h1", f"user-{BOB}", *(logged_off("bob", T0 + 120 + n) for n in range(4)))
    world.tells("h2", f"user-{BOB}", added(11, "x", "h2", T0 + 130), added(12, "y", "h2", T0 + 131))
    user = world.reader.moments.state(BOB, T0 + 200).user
    assert (sorted(user.sessions), sorted(user.contacts)) == (["bob"], [11, 12])


@pytest.mark.parametrize("stream", ["user-x", "audit-2", "home-2", "nonsense"])
def test_a_stream_that_is_no_users_stops_nothing(world, stream):
    adopted = UserAdopted(at=T0 + 120, cause="x", handle="carl", name="")
    world.tells("h2", stream, adopted, adopted)
    world.tells("h2", f"user-{BOB}", logged_off("bob", T0 + 130))
    assert world.at(T0 + 140)["bob"] == "offline"


def test_an_event_that_this_version_cannot_read_is_named(world):
    def later(source: str, stream: str, version: int, topic: str, data: bytes) -> Event:
        raise KeyError(topic)

    reader = world.read_with(later)
    with pytest.raises(Unavailable) as refusal:
        reader.moments.state(ANN, T0 + 112)
    reader.close()
    assert refusal.value.detail == f"user.contact_added at user-{ANN}/3 cannot be read by this version of Flash"


def test_why_the_keys_cannot_be_read_is_said(world):
    def locked(source: str, stream: str, version: int, topic: str, data: bytes) -> Event:
        raise Unavailable(f"the keys of {source} are locked")

    reader = world.read_with(locked)
    with pytest.raises(Unavailable) as refusal:
        reader.moments.state(ANN, T0 + 112)
    reader.close()
    assert refusal.value.detail == "the keys of h1 are locked"


def test_who_was_online_is_listed_with_the_beginning_of_the_status(world):
    assert world.reader.moments.online(T0 + 99) == []
    assert world.reader.moments.online(T0 + 100) == [
        Online(Person(ANN, "ann", "h1"), "online", T0 + 100),
        Online(Person(BOB, "bob", "h2"), "online", T0 + 100),
    ]


def carl_as_contact(at: float, cause: str) -> ContactAdded:
    return replace(added(CARL, "carl", "h2", at, name="Carl"), alias="C", notify=True, cause=cause)


def heard_of_ann(at: float, cause: str) -> ContacterAdded:
    """A home was told that Ann watches its user."""
    return ContacterAdded(at=at, cause=cause, uid=ANN, home="h1", status="offline", since=None, note="", name="")


def restarted(at: float) -> LoggedOff:
    return replace(logged_off("carl", at), reason="restart")


@pytest.fixture
def with_carl(world: World) -> World:
    """Carl of h2 is online, and Ann adds him at `T0` + 120. h2 hears of it at `T0` + 125."""
    adopted = UserAdopted(at=T0 + 50, cause="r", handle="carl", name="")
    world.tells(GLOBAL, f"account-{CARL}", registered(CARL, "carl", "h2"))
    world.tells("h2", f"user-{CARL}", adopted, replace(logged_in("carl", T0 + 60), name="Carl C.", note="here"))
    world.tells("h1", f"user-{ANN}", carl_as_contact(T0 + 120, "k"))
    world.tells("h2", f"user-{CARL}", heard_of_ann(T0 + 121, "another cause"), heard_of_ann(T0 + 125, "k"))
    return world


UNTOLD = Shown(CARL, "carl", "Carl", "C", True, "h2", "unknown", None, "", doubtful=False)
TOLD = Shown(CARL, "carl", "Carl C.", "C", True, "h2", "online", T0 + 60, "here", doubtful=False)


def line(world: World, at: float, uid: int = CARL) -> Shown:
    """What Ann's contact window showed of one contact."""
    with reading(world, Decoding(), personal=True) as reader:
        return next(shown for shown in reader.moments.window(ANN, at) if shown.uid == uid)


def test_a_contact_of_another_home_is_unknown_until_that_home_has_heard_of_it(with_carl):
    assert [line(with_carl, T0 + second) for second in (120, 124, 125)] == [UNTOLD, UNTOLD, TOLD]
    with_carl.tells("h1", f"user-{ANN}", ContactChanged(at=T0 + 130, cause="c", uid=CARL, alias="C", notify=True))
    assert line(with_carl, T0 + 131) == TOLD
    with_carl.tells("h1", f"user-{ANN}", ContactRemoved(at=T0 + 290, cause="x", uid=CARL, home="h2"), carl_as_contact(T0 + 300, "again"))
    assert [line(with_carl, T0 + second) for second in (289, 300)] == [TOLD, UNTOLD]
    with_carl.tells("h2", f"user-{CARL}", heard_of_ann(T0 + 305, "again"))
    assert [line(with_carl, T0 + second) for second in (304, 305)] == [UNTOLD, TOLD]


def test_who_heard_of_whom_is_told_by_their_own_homes_only(with_carl):
    with_carl.tells("h1", f"user-{ANN}", carl_as_contact(T0 + 140, "later"))
    with_carl.tells("h1", f"user-{CARL}", heard_of_ann(T0 + 141, "later"))
    assert line(with_carl, T0 + 145) == UNTOLD, "h1 cannot say what h2 has heard"
    with_carl.tells("h2", f"user-{CARL}", heard_of_ann(T0 + 150, "later"))
    with_carl.tells("h2", f"user-{ANN}", carl_as_contact(T0 + 151, "forged"))
    assert line(with_carl, T0 + 160) == TOLD, "h2 cannot say whom Ann added"


@pytest.mark.parametrize(
    ("sign_of_life", "doubtful"), [(None, True), (500 - DOUBT_S + 1, True), (500 - DOUBT_S, True), (500 - DOUBT_S - 1, False)]
)
def test_what_a_home_had_said_is_doubtful_when_the_next_that_it_does_is_to_restart(with_carl, sign_of_life, doubtful):
    changed = ContactChanged(at=T0 + 430, cause="c", uid=DORA, alias=None, notify=True)
    with_carl.tells("h1", f"user-{ANN}", added(DORA, "dora", "h2", T0 + 390), changed)
    if sign_of_life is not None:
        with_carl.tells("h2", f"user-{BOB}", added(11, "x", "h2", T0 + sign_of_life))
    with_carl.tells("h2", f"user-{CARL}", restarted(T0 + 500))
    with_carl.tells("h1", f"user-{ANN}", replace(restarted(T0 + 500), session="ann", handle="ann"))
    assert line(with_carl, T0 + 400) == TOLD._replace(doubtful=doubtful)
    assert line(with_carl, T0 + 499) == TOLD._replace(doubtful=True)
    assert not line(with_carl, T0 + 500).doubtful, "it was back"
    assert not line(with_carl, T0 + 400, BOB).doubtful, "what a home knows of its own users does not depend on other homes"
    unknown = line(with_carl, T0 + 400, DORA)
    assert (unknown.status, unknown.doubtful) == ("unknown", False)
    if sign_of_life is not None:
        assert line(with_carl, T0 + sign_of_life).doubtful, "only what it does afterwards counts"
