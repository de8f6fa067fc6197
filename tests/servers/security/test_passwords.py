"""Passwords: right, wrong, of nobody. How they wait for their hashes stands in `test_hashing.py`."""

import pytest

from domain.errors import Invalid
from servers.security.passwords import CHEAP, Cost, Passwords


@pytest.fixture
def hasher():
    hasher = Passwords(CHEAP)
    yield hasher
    hasher.close()


async def test_the_right_password_fits_and_others_do_not(hasher):
    stored = await hasher.hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert await hasher.verify("correct horse", stored)
    assert not await hasher.verify("correct horsf", stored)
    assert not await hasher.verify("", stored)


async def test_the_same_password_has_another_hash_each_time(hasher):
    assert await hasher.hash("correct horse") != await hasher.hash("correct horse")


async def test_nobody_s_password_is_hashed_all_the_same(hasher):
    assert not await hasher.verify("correct horse", None)
    assert hasher.hashing.hashes == 1


async def test_accents_fit_however_they_are_typed(hasher):
    stored = await hasher.hash("caf\u00e9 noir")
    assert await hasher.verify("cafe\u0301 noir", stored)


@pytest.mark.parametrize("password", ["short12", "x" * 257, "\ud800" * 8])
async def test_only_sensible_passwords_are_taken(hasher, password):
    with pytest.raises(Invalid, match="password"):
        await hasher.hash(password)


async def test_a_longer_password_never_fits_by_its_beginning(hasher):
    stored = await hasher.hash("x" * 256)
    assert await hasher.verify("x" * 256, stored)
    assert not await hasher.verify("x" * 257, stored)


async def test_a_broken_hash_fits_nothing(hasher):
    assert not await hasher.verify("correct horse", "$argon2id$broken")
    assert not await hasher.verify("\ud800" * 8, await hasher.hash("correct horse"))


async def test_a_hash_of_another_cost_is_outdated(hasher):
    stored = await hasher.hash("correct horse")
    dearer = Passwords(Cost(memory_kib=16, passes=1))
    try:
        assert not hasher.is_outdated(stored)
        assert dearer.is_outdated(stored)
        assert await dearer.verify("correct horse", stored)
    finally:
        dearer.close()
