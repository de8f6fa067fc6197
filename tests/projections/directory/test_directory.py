"""Finding people: words, fields, pages, and where new users live."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.errors import Invalid
from domain.event import Event
from domain.events.global_server import (
    AccountClosed,
    CertificateIssued,
    HomeAnnounced,
    HomeEnrolled,
    HomeRetired,
    HomeRevoked,
    ProfileChanged,
    UrlAllowed,
    UserRegistered,
)
from domain.personal import Personal
from domain.profile import PROFILE_FIELDS
from projections.directory.directory import MAX_LIMIT, MAX_WORDS_CHARS, Directory, Enrolment, Listed
from projections.directory.words import words
from tests.support.snapshots import through_msgpack

WHEN = {"at": 1_700_000_000.0, "cause": "c1"}


def registered(uid: int, handle: str, home: str = "h1", **profile: str) -> UserRegistered:
    return UserRegistered(uid=uid, handle=handle, home=home, profile=profile, **WHEN)


def directory(*events: Event) -> Directory:
    folded = Directory()
    for position, event in enumerate(events, start=1):
        folded.apply(position, event)
    return folded


def found(where: Directory, q: str = "", **fields: str) -> list[str]:
    users, _ = where.search(q, fields)
    return [user.handle for user in users]


PEOPLE = directory(
    HomeAnnounced(name="h1", url="http://127.0.0.1:8081", **WHEN),
    registered(1, "jsmith", full_name="John Smith", state="Florida", city="Miami", email="john@example.com"),
    registered(2, "bob.jones", full_name="Bob Jones", state="Florida", note="ask smith about it"),
    registered(3, "smithy", full_name="Zoë Müller-Łukasz", state="Texas", phone="+1 (555) 010-2030"),
    registered(4, "yamada", full_name="山田 太郎", organisation="Straße & Søn", city="São Paulo"),
)


@pytest.mark.parametrize(
    ("q", "handles"),
    [
        ("smith florida", ["jsmith", "bob.jones"]),
        ("SMITH", ["jsmith", "bob.jones", "smithy"]),
        ("smi flo", ["jsmith", "bob.jones"]),
        ("mith", []),
        ("smith texas", ["smithy"]),
        ("zoe muller", ["smithy"]),
        ("ZOË lukasz", ["smithy"]),
        ("john@example.com", ["jsmith"]),
        ("example", ["jsmith"]),
        ("555 010", ["smithy"]),
        ("山", ["yamada"]),
        ("strasse", ["yamada"]),
        ("son sao", ["yamada"]),
        ("jones bob", ["bob.jones"]),
        ("bob.jones", ["bob.jones"]),
        ("@ !", []),
        ("nobody", []),
        ("johnx", []),
        ("xx", []),
        ("", ["jsmith", "bob.jones", "smithy", "yamada"]),
    ],
)
def test_words_are_found_in_any_field(q, handles):
    assert found(PEOPLE, q) == handles


def test_a_named_field_narrows():
    assert found(PEOPLE, full_name="smith") == ["jsmith"]
    assert found(PEOPLE, full_name="bob jones") == ["bob.jones"]
    assert found(PEOPLE, "smith", state="florida", note="ask") == ["bob.jones"]
    assert found(PEOPLE, handle="smith") == ["smithy"]
    assert found(PEOPLE, handle="bob jones", full_name="smith") == []
    assert found(PEOPLE, state="?!") == [], "nobody has a word without a letter"


def test_unknown_fields_and_endless_searches_are_refused():
    endless = "x" * (MAX_WORDS_CHARS + 1)
    too_long = f"at most {MAX_WORDS_CHARS} characters"
    known = "q, limit, cursor or one of handle, full_name, "
    for wrong, field, expected in (
        ({"fields": {"shoe_size": "7"}}, "shoe_size", known),
        ({"text": endless}, "q", too_long),
        ({"fields": {"city": endless}}, "city", too_long),
        ({"text": " ".join("abcdefghij"), "fields": {"city": "a b c d e f g"}}, "q", "at most 16 words"),
    ):
        with pytest.raises(Invalid) as refusal:
            PEOPLE.search(**wrong)
        assert refusal.value.extra["field"] == field
        assert refusal.value.extra["expected"].startswith(expected)
    assert found(PEOPLE, "x" * MAX_WORDS_CHARS) == []


def test_a_page_of_long_profiles_ends_early_and_the_next_one_goes_on():
    full = dict.fromkeys(PROFILE_FIELDS, "x" * 500)
    crowd = directory(*(registered(number, f"u{number}", **full) for number in range(1, 41)))
    pages: list[list[int]] = []
    cursor = None
    while cursor is not None or not pages:
        page, cursor = crowd.search("", limit=MAX_LIMIT, cursor=cursor)
        pages.append([user.uid for user in page])
    assert [uid for page in pages for uid in page] == list(range(1, 41))
    assert [len(page) for page in pages] == [14, 14, 12]


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": MAX_LIMIT + 1}, {"cursor": "x"}, {"cursor": "-1"}, {"cursor": "0x1"}])
def test_wrong_pages_are_refused(wrong):
    with pytest.raises(Invalid) as refusal:
        PEOPLE.search("smith", **wrong)
    expected = {"limit": f"1 to {MAX_LIMIT}", "cursor": "the `next` of an earlier page"}
    (field,) = wrong
    assert refusal.value.extra == {"field": field, "expected": expected[field]}


def test_pages_follow_one_another_and_end():
    many = directory(*(registered(uid, f"user{uid}", city="Miami") for uid in range(1, 46)))
    seen, cursor = [], None
    for size in (20, 20, 5):
        page, cursor = many.search("miami", cursor=cursor)
        assert len(page) == size
        seen += [user.uid for user in page]
    assert cursor is None
    assert seen == list(range(1, 46))


def test_a_page_that_is_just_full_is_the_last():
    assert PEOPLE.search("smith", limit=3)[1] is None


@pytest.mark.parametrize("limit", [1, MAX_LIMIT])
def test_a_page_has_one_user_at_least_and_no_more_than_fit(limit):
    page, _ = PEOPLE.search(limit=limit)
    assert [user.handle for user in page] == ["jsmith", "bob.jones", "smithy", "yamada"][:limit]


def test_a_changed_profile_is_found_anew_and_no_more_as_before():
    where = directory(
        registered(1, "ann", full_name="Ann Lee", city="Miami"),
        registered(2, "abe", city="Miami"),
        ProfileChanged(uid=1, handle="ann", home="h1", name="Ann Smith", changes={"full_name": "Ann Smith", "city": None}, **WHEN),
    )
    assert found(where, "smith") == ["ann"]
    assert found(where, "lee") == []
    assert found(where, "miami") == ["abe"]
    assert where.users[1] == Listed(1, "ann", "h1", {"full_name": "Ann Smith"})
    assert where.users[1].name == "Ann Smith"
    assert found(where, handle="ann") == ["ann"]
    assert where.users[2].name == "abe"


def test_one_who_left_is_not_found():
    where = directory(registered(1, "ann", city="Miami"), AccountClosed(uid=1, reason="asked", home="h1", homes=["h1", "h2"], **WHEN))
    assert found(where) == found(where, "miami") == []
    assert where.by_handle("ann") is None
    assert where.residents("h1") == 0
    assert where.last_uid == 1, "a number is never given twice"


def test_the_highest_number_that_was_given_is_known():
    assert directory().last_uid == 0
    assert directory(registered(7, "ann"), registered(3, "abe")).last_uid == 7


def test_a_handle_is_looked_up_in_any_case():
    user = PEOPLE.by_handle("BOB.Jones")
    assert user is not None
    assert user.uid == 2
    assert PEOPLE.by_handle("nobody") is None


def test_new_users_go_to_the_live_home_with_the_fewest():
    homes = [HomeAnnounced(name=name, url=f"http://{name}", **WHEN) for name in ("h10", "h2", "h1")]
    where = directory(*homes, registered(1, "ann", "h1"))
    assert where.pick_home({"h1", "h2", "h10"}) == "h2"
    assert where.pick_home({"h1", "h10"}) == "h10"
    assert where.pick_home({"h1"}) == "h1"
    assert where.pick_home({"h1", "h2"}, expected={"h2": 1}) == "h1", "as many, and h1 is the first by name"
    assert where.pick_home({"h1", "h2"}, expected={"h2": 2}) == "h1"
    assert directory(*homes, registered(1, "ann", "h2")).pick_home({"h1", "h2"}, expected={"h1": 1}) == "h1", "equals go by name"
    assert where.pick_home({"h9"}) is None
    assert where.pick_home(set()) is None


def test_a_retired_home_gets_no_new_users_until_it_is_back():
    announced = HomeAnnounced(name="h1", url="http://h1", **WHEN)
    assert directory(announced, HomeRetired(name="h1", **WHEN)).pick_home({"h1"}) is None
    assert directory(announced, HomeRetired(name="h1", **WHEN)).home_url("h1") == "http://h1"
    assert directory(announced, HomeRetired(name="h1", **WHEN), announced).pick_home({"h1"}) == "h1"


def test_a_home_that_never_announced_itself_has_no_url():
    assert directory().home_url("h1") == ""


def certified(number: int) -> CertificateIssued:
    return CertificateIssued(name="h1", number=number, expires=number * 100.0, life=0, certificate="", **WHEN)


def test_a_revoked_home_gets_no_new_users_until_it_has_a_newer_certificate():
    enrolled = [HomeAnnounced(name="h1", url="http://h1", **WHEN), HomeEnrolled(name="h1", key="ab", **WHEN)]
    first, second = (certified(number) for number in (1, 2))
    revoked = HomeRevoked(name="h1", number=1, homes=["h1"], **WHEN)
    for events, believed, is_revoked in (
        ([], False, False),
        ([first], True, False),
        ([first, revoked], False, True),
        ([first, revoked, second], True, False),
    ):
        where = directory(*enrolled, *events)
        assert (where.enrolments["h1"].enrolled, where.is_revoked("h1")) == (believed, is_revoked)
        assert where.pick_home({"h1"}) == (None if is_revoked else "h1")
    assert not where.is_revoked("h2")


def test_what_is_known_of_a_home_comes_back_from_a_checkpoint():
    where = directory(
        HomeAnnounced(name="h1", url="http://h1", **WHEN),
        HomeAnnounced(name="h2", url="http://h2", **WHEN),
        HomeRetired(name="h2", **WHEN),
        HomeEnrolled(name="h1", key="ab", **WHEN),
        certified(2),
        HomeRevoked(name="h1", number=1, homes=["h1"], **WHEN),
        UrlAllowed(name="h1", url="http://h1:81", **WHEN),
    )
    assert where.enrolments == {"h1": Enrolment(key="ab", number=2, expires=200.0, revoked=1, allowed="http://h1:81")}
    again = Directory()
    assert again.from_checkpoint(where.to_checkpoint())
    assert (again.homes, again.enrolments, again.position) == (where.homes, where.enrolments, where.position)


def test_everybody_comes_back_from_a_checkpoint():
    where = directory(registered(3, "ann", "h1", city="Miami"), registered(1, "abe", "h2"), registered(2, "amy", "h2"))
    checkpoint = where.to_checkpoint()
    assert [user[:3] for user in checkpoint["users"]] == [[3, "ann", "h1"], [1, "abe", "h2"], [2, "amy", "h2"]]
    assert checkpoint["users"][0][3] == Personal(3, {"city": "Miami"}), "what somebody says of themselves is personal"
    again = Directory()
    assert again.from_checkpoint(through_msgpack(checkpoint))
    assert (again.users, again.last_uid) == (where.users, 3)
    assert [again.residents(home) for home in ("h1", "h2", "h3")] == [1, 2, 0]
    assert (found(again, "miami"), found(again, handle="a")) == (["ann"], ["abe", "amy", "ann"])
    assert again.by_handle("Amy") == where.users[2]


def test_a_checkpoint_of_before_homes_were_enrolled_is_read():
    checkpoint = directory(registered(1, "ann")).to_checkpoint()
    del checkpoint["enrolments"]
    again = Directory()
    assert again.from_checkpoint(through_msgpack(checkpoint))
    assert (again.enrolments, again.is_revoked("h1"), found(again)) == ({}, False, ["ann"])


def test_a_directory_that_one_thread_has_folded_is_searched_by_another():
    where = directory(registered(1, "ann", city="Miami"))
    with ThreadPoolExecutor(1) as other:
        assert other.submit(found, where, "miami").result() == ["ann"]


def test_a_checkpoint_of_another_format_is_not_trusted():
    fresh = Directory()
    assert fresh.from_checkpoint({**PEOPLE.to_checkpoint(), "format": 0}) is False
    assert fresh.position == 0


def test_letters_without_their_stroke_are_the_same():
    assert words("øłđħıæœþð ØŁĐĦÆŒÞÐ") == ["oldhiaeoethd", "oldhaeoethd"]
    assert words("a_b@c.d-e 7_8") == ["a", "b", "c", "d", "e", "7", "8"]
    assert words("é_ê") == ["e", "e"]


def test_words_are_folded():
    assert words("José Müller-Łuk_7, ŒUVRE") == ["jose", "muller", "luk", "7", "oeuvre"]
    assert words("हिन्दी") == words("हिन्दी".upper())
    assert words("\u0130stanbul I") == ["istanbul", "i"]
