"""A bounded queue in which everybody has turns."""

import pytest

from servers.security.turns import Turns


def everything(turns):
    return [turns.next() for _ in range(len(turns))]


def test_each_key_has_a_turn_and_keeps_its_order():
    turns = Turns(most=10)
    for key, item in ("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5), ("b", 6):
        assert turns.add(key, item) is None
    assert everything(turns) == [1, 4, 5, 2, 6, 3]


def test_whoever_fills_it_is_refused_first():
    turns = Turns(most=4)
    for item in range(4):
        turns.add("a", item)
    assert turns.add("a", 4) == 4
    assert turns.add("b", 5) == 3, "the newest of the one that has most makes room"
    assert turns.add("c", 6) == 2
    assert turns.add("b", 7) == 7, "nobody has two more than b"
    assert len(turns) == 4
    assert everything(turns) == [0, 5, 6, 1]


def test_nothing_comes_of_an_empty_one():
    turns = Turns(most=4)
    with pytest.raises(IndexError):
        turns.next()
    turns.add("a", 1)
    assert turns.clear() == [1]
    assert len(turns) == 0
