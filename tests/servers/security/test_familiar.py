"""Who has signed in from where lately: for thirty days, in bounded memory, and without a name."""

from servers.security.familiar import DAY_S, KEPT_DAYS, MAX_PLACES, Familiar
from tests.servers.registry import Clock


def familiar(clock, **bounds):
    found = Familiar(clock, **bounds)
    found.use(b"k" * 32)
    return found


def test_a_handle_is_familiar_for_thirty_days_where_it_signed_in():
    clock = Clock()
    known = familiar(clock)
    assert not known.knows("ann", "192.0.2.1")
    assert known.note("ann", "192.0.2.1")
    assert not known.note("ann", "192.0.2.1"), "that is known for today"
    assert known.knows("ann", "192.0.2.1")
    assert not known.knows("ann", "192.0.2.2")
    assert not known.knows("bob", "192.0.2.1")
    clock.now += KEPT_DAYS * DAY_S
    assert known.knows("ann", "192.0.2.1")
    assert known.note("ann", "192.0.2.1")
    clock.now += DAY_S
    assert known.knows("ann", "192.0.2.1")
    clock.now += KEPT_DAYS * DAY_S
    assert not known.knows("ann", "192.0.2.1")


def test_the_places_of_a_handle_and_the_handles_are_bounded():
    known = familiar(Clock(), max_handles=2)
    for number in range(MAX_PLACES + 1):
        known.note("ann", f"192.0.2.{number}")
    assert [known.knows("ann", f"192.0.2.{number}") for number in range(MAX_PLACES + 1)] == [False] + [True] * MAX_PLACES
    known.note("bob", "192.0.2.1")
    known.note("cat", "192.0.2.1")
    assert len(known) == 2
    assert not known.knows("ann", "192.0.2.8")


def test_it_goes_on_from_what_it_kept_and_names_nobody():
    clock = Clock()
    known = familiar(clock)
    known.note("ann", "192.0.2.1")
    kept = known.everything()
    assert b"ann" not in b"".join([*kept, *kept.values()])
    again, stranger = Familiar(clock), Familiar(clock)
    again.use(b"k" * 32, kept.items())
    stranger.use(b"x" * 32, kept.items())
    assert again.knows("ann", "192.0.2.1")
    assert not stranger.knows("ann", "192.0.2.1"), "the key is another one"
    again.forget("ann")
    assert not again.knows("ann", "192.0.2.1")
    assert not again.everything()


def test_before_it_has_a_key_nothing_is_familiar():
    known = Familiar(Clock())
    assert not known.note("ann", "192.0.2.1")
    assert not known.knows("ann", "192.0.2.1")
    known.forget("ann")
