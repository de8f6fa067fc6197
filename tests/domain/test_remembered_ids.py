"""Ids are remembered as a dictionary would do it, in a few bytes each."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from domain.remembered_ids import RememberedIds

IDS = st.sampled_from([f"m{number}" for number in range(8)])
KINDS = st.sampled_from(["add", "add", "add", "forget", "remove", "put", "copy", "store"])
STEPS = st.lists(st.tuples(KINDS, IDS, st.integers(0, 2**63 - 1)))


def filled(*ids):
    found = RememberedIds("dq")
    for number, id in enumerate(ids):
        found.add(id, number + 0.5, number)
    return found


@given(STEPS)
def test_it_is_a_dictionary_in_the_order_of_coming(steps):
    """The same id is added twice only by those who ask for its places."""
    ids, model = RememberedIds("q"), {}
    for step, id, number in steps:
        if step == "add" and id not in model:
            ids.add(id, number)
            model[id] = number
        elif step == "forget" and model:
            ids.forget_oldest()
            del model[next(iter(model))]
        elif step == "remove" and id in model:
            ids.remove(ids.place(id))
            del model[id]
        elif step == "put" and id in model:
            ids.put(ids.place(id), number)
            model[id] = number
        elif step == "copy":
            before, ids = ids, copy.copy(ids)
            before.clear()
        elif step == "store":
            stored, ids = ids.to_snapshot(), RememberedIds("q")
            ids.from_snapshot(stored)
        assert len(ids) == len(model)
        for each in (f"m{number}" for number in range(8)):
            assert (each in ids) == (each in model)
            assert ids.get(each) == ([model[each]] if each in model else None)


def test_one_id_may_stand_in_two_places_and_the_older_one_goes_first():
    ids = filled("m1", "m2", "m1")
    assert [ids.numbers(place) for place in ids.places("m1")] == [[0.5, 0], [2.5, 2]]
    ids.forget_oldest()
    assert [ids.numbers(place) for place in ids.places("m1")] == [[2.5, 2]]


def test_thousands_take_some_thirty_bytes_each():
    ids = filled(*(f"{number:064}" for number in range(4_096)))
    assert ids.size == 4_096 * 32
    assert sum(map(len, ids.to_snapshot())) == ids.size


def test_the_same_ids_are_equal_and_others_are_not():
    assert filled("m1", "m2") == filled("m1", "m2")
    assert filled("m1", "m2") != filled("m2", "m1")
    assert filled("m1") != {"m1": 0}
