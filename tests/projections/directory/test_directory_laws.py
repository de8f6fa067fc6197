"""The laws of the directory: replaying changes nothing, a checkpoint and the events after it are the whole.

A search finds what comparing every user would find.
"""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.event import Event
from domain.events.global_server import AccountClosed, CredentialChanged, HomeAnnounced, HomeRetired, ProfileChanged, UserRegistered
from projections.directory.directory import SEARCH_FIELDS, Directory
from projections.directory.words import words
from tests.support.snapshots import through_msgpack

WHEN = {"at": 1_700_000_000.0, "cause": "c1"}
HOMES = ("h1", "h2", "h3")
TEXT = st.lists(st.sampled_from(["Ann", "ánna", "an", "Bo", "b-o", "Zoë", "ß", "7", "_", "+"]), max_size=4).map(" ".join)
PROFILE_TEXTS = st.dictionaries(st.sampled_from(["full_name", "city", "note"]), TEXT.filter(str.strip), max_size=3)
CHANGES = st.dictionaries(st.sampled_from(["full_name", "city", "note"]), st.none() | TEXT.filter(str.strip), min_size=1, max_size=3)
ASKED = st.dictionaries(st.sampled_from(SEARCH_FIELDS), TEXT, max_size=2)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """What a Global Server could have stored, in order."""
    events: list[Event] = []
    open_uids: list[int] = []
    for number in range(1, draw(st.integers(0, 25)) + 1):
        kind = draw(st.sampled_from(["register", "register", "change", "close", "announce", "retire", "credential"]))
        home = draw(st.sampled_from(HOMES))
        if kind == "register" or (kind in ("change", "close", "credential") and not open_uids):
            events.append(UserRegistered(uid=number, handle=f"u{number}", home=home, profile=draw(PROFILE_TEXTS), **WHEN))
            open_uids.append(number)
        elif kind == "change":
            events.append(
                ProfileChanged(uid=draw(st.sampled_from(open_uids)), handle="ann", home="h1", name="Ann", changes=draw(CHANGES), **WHEN)
            )
        elif kind == "credential":
            events.append(CredentialChanged(uid=draw(st.sampled_from(open_uids)), password_hash="$h", **WHEN))
        elif kind == "close":
            uid = draw(st.sampled_from(open_uids))
            open_uids.remove(uid)
            events.append(AccountClosed(uid=uid, reason="asked", home="h1", homes=["h1", "h2"], **WHEN))
        elif kind == "announce":
            events.append(HomeAnnounced(name=home, url=f"http://{home}", **WHEN))
        else:
            events.append(HomeRetired(name=home, **WHEN))
    return events


def fold(events: list[Event], into: Directory | None = None, after: int = 0) -> Directory:
    directory = into or Directory()
    for position, event in enumerate(events[after:], start=after + 1):
        directory.apply(position, event)
    return directory


def picture(directory: Directory) -> object:
    """Everything that can be seen of a directory."""
    checkpoint = directory.to_checkpoint()
    checkpoint["users"].sort()
    checkpoint["homes"].sort()
    searches = [directory.search(q, limit=100) for q in ("", "a", "an b", "zoe", "7", "u1")]
    return checkpoint, searches, [directory.residents(home) for home in HOMES], directory.pick_home(HOMES)


@settings(deadline=None)  # a busy machine takes its time
@given(histories())
def test_replaying_changes_nothing(events: list[Event]) -> None:
    once = fold(events)
    before = picture(once)
    assert picture(fold(events, into=once)) == before


@settings(deadline=None)
@given(histories(), st.data())
def test_a_checkpoint_and_the_events_after_it_are_the_whole(events: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events)))
    stored = through_msgpack(fold(events[:cut]).to_checkpoint())
    loaded = Directory()
    assert loaded.from_checkpoint(stored)
    assert picture(fold(events, into=loaded, after=cut)) == picture(fold(events))


@settings(max_examples=200, deadline=None)
@given(histories(), TEXT, ASKED, st.integers(1, 5))
def test_a_search_finds_what_comparing_every_user_would(events: list[Event], q: str, fields: dict[str, str], limit: int) -> None:
    directory = fold(events)
    expected = [uid for uid in sorted(directory.users) if matches(directory, uid, q, fields)]
    found: list[int] = []
    cursor = None
    while True:
        page, cursor = directory.search(q, fields, limit, cursor)
        found += [user.uid for user in page]
        if cursor is None:
            break
    assert found == expected


def matches(directory: Directory, uid: int, q: str, fields: dict[str, str]) -> bool:
    user = directory.users[uid]
    texts = {"handle": user.handle, **user.profile}
    asked = [text for text in (q, *fields.values()) if text.strip()]
    if not all(words(text) for text in asked):
        return False

    def begins(word: str, names: Iterable[str]) -> bool:
        return any(have.startswith(word) for name in names for have in words(texts.get(name, "")))

    narrowed = [(word, name) for name, text in fields.items() for word in words(text)]
    return all(begins(word, texts) for word in words(q)) and all(begins(word, [name]) for word, name in narrowed)
