"""Accounts and handles: who may be registered, and what may change afterwards."""

import pytest

from domain.errors import HandleTaken, Invalid, UidTaken, UnknownUser
from domain.events.global_server import (
    AccountClosed,
    CredentialChanged,
    HandleClaimed,
    HomeAnnounced,
    HomeRetired,
    ProfileChanged,
    UserRegistered,
)
from domain.profile import MAX_FIELD_CHARS
from domain.registry.commands import ChangeCredential, ChangeProfile, ClaimHandle, CloseAccount, LookUpAccount, RegisterAccount
from domain.rules.global_server import RULES
from tests.domain.given import NOW, Story
from tests.support.snapshots import restored

given = Story.of(RULES)
WHEN = {"at": NOW, "cause": "c1"}

ANN = UserRegistered(uid=42, handle="ann", home="h1", profile={"full_name": "Ann Lee", "city": "Miami"}, **WHEN)
HER_PASSWORD = CredentialChanged(uid=42, password_hash="$hash1", **WHEN)
SHE_LEFT = AccountClosed(uid=42, reason="asked", home="h1", homes=["h1", "h2"], **WHEN)


def register(**but):
    fields = {"uid": 42, "handle": "ann", "home": "h1", "profile": {}, "password_hash": "$hash1", "cause": "c1"}
    return RegisterAccount(**{**fields, **but})


def change(**profile):
    return ChangeProfile(uid=42, profile=profile, cause="c1")


def test_a_free_handle_is_claimed_in_lower_case():
    command = ClaimHandle(handle="Ann", uid=42, cause="c1")
    assert command.stream == "handle-ann"
    given().when(command).then(HandleClaimed(handle="ann", uid=42, **WHEN))


def test_a_handle_is_claimed_once():
    given(HandleClaimed(handle="ann", uid=7, **WHEN)).when(ClaimHandle(handle="ANN", uid=42, cause="c1")).refuses(HandleTaken, handle="ann")


@pytest.mark.parametrize("handle", ["", "a", "1ann", "-ann", "ann lee", "ann@x", "anné", "K\u212a", "a" * 33, "ann\n"])
def test_a_handle_has_a_shape(handle):
    given().when(ClaimHandle(handle=handle, uid=42, cause="c1")).refuses(Invalid, field="handle")


def test_a_new_user_has_an_account_and_a_credential():
    given().when(register(profile={"full_name": " Ann Lee ", "city": "Miami", "note": "", "phone": None})).then(ANN, HER_PASSWORD)


@pytest.mark.parametrize("history", [[ANN], [ANN, HER_PASSWORD]])
def test_a_uid_is_given_once(history):
    with pytest.raises(UidTaken):
        given(history).when(register(handle="bob"))


def test_a_profile_field_of_the_largest_length_is_kept():
    given(ANN).when(change(city="x" * MAX_FIELD_CHARS)).then(
        ProfileChanged(uid=42, handle="ann", home="h1", name="Ann Lee", changes={"city": "x" * MAX_FIELD_CHARS}, **WHEN)
    )


def test_a_claimed_handle_knows_whose_it_is():
    assert given(HandleClaimed(handle="ann", uid=42, **WHEN)).state("handle-ann").uid == 42


def test_what_is_personal_in_a_snapshot_is_the_users_own():
    *_, profile, password_hash, _ = given(ANN, HER_PASSWORD).state("account-42").to_snapshot()
    assert (profile.owner, password_hash.owner) == (42, 42)


@pytest.mark.parametrize("value", ["x" * (MAX_FIELD_CHARS + 1), "\x1b[2Jboo", "\ud800", 7, "\ufdfa" * 56])
def test_profile_fields_are_short_plain_text(value):
    given().when(register(profile={"note": value})).refuses(Invalid, field="profile.note")
    given(ANN).when(change(note=value)).refuses(Invalid, field="profile.note")


def test_unknown_profile_fields_are_refused():
    given().when(register(profile={"shoe_size": "7"})).refuses(Invalid, field="profile.shoe_size")


def test_only_what_changed_is_recorded():
    given(ANN).when(change(city="Orlando", full_name="Ann Lee")).then(
        ProfileChanged(uid=42, handle="ann", home="h1", name="Ann Lee", changes={"city": "Orlando"}, **WHEN)
    )


@pytest.mark.parametrize(("full_name", "name"), [("Ann Bee", "Ann Bee"), (None, "ann")])
def test_a_new_name_is_told_and_without_one_the_handle(full_name, name):
    changed = ProfileChanged(uid=42, handle="ann", home="h1", name=name, changes={"full_name": full_name}, **WHEN)
    given(ANN).when(change(full_name=full_name)).then(changed)


def test_a_blank_empties_a_field():
    outcome = (
        given(ANN)
        .when(change(city=" "))
        .then(ProfileChanged(uid=42, handle="ann", home="h1", name="Ann Lee", changes={"city": None}, **WHEN))
    )
    assert given(ANN, *outcome.events).state("account-42").profile == {"full_name": "Ann Lee"}


def test_the_same_profile_again_changes_nothing():
    given(ANN).when(change(city="Miami", phone="")).then_nothing()


def test_a_password_changes():
    given(ANN, HER_PASSWORD).when(ChangeCredential(uid=42, password_hash="$hash2", cause="c1")).then(
        CredentialChanged(uid=42, password_hash="$hash2", **WHEN)
    )


def test_a_rehash_takes_the_place_of_the_hash_that_it_was_made_from():
    rehash = ChangeCredential(uid=42, password_hash="$again", instead_of="$hash1", cause="c1")
    given(ANN, HER_PASSWORD).when(rehash).then(CredentialChanged(uid=42, password_hash="$again", **WHEN))


def test_a_rehash_never_undoes_a_new_password():
    rehash = ChangeCredential(uid=42, password_hash="$old-again", instead_of="$hash0", cause="c1")
    given(ANN, HER_PASSWORD).when(rehash).then_nothing()


def test_an_account_closes_once():
    close = CloseAccount(uid=42, reason="asked", homes=["h2"], cause="c1")
    given(ANN, HER_PASSWORD).when(close).then(SHE_LEFT)
    given(ANN, HER_PASSWORD, SHE_LEFT).when(close).then_nothing()


def test_of_a_closed_account_neither_profile_nor_hash_is_kept():
    state = given(ANN, HER_PASSWORD, SHE_LEFT).state("account-42")
    assert (state.closed, state.profile, state.password_hash) == (True, {}, "")


@pytest.mark.parametrize("history", [[], [ANN, HER_PASSWORD, SHE_LEFT]])
def test_nobody_changes_an_account_that_is_not_there(history):
    given(history).when(LookUpAccount(uid=42, cause="c1")).refuses(UnknownUser)
    given(history).when(change(city="Orlando")).refuses(UnknownUser)
    given(history).when(ChangeCredential(uid=42, password_hash="$2", cause="c1")).refuses(UnknownUser)


def test_an_account_that_was_never_opened_cannot_be_closed():
    given().when(CloseAccount(uid=42, reason="asked", homes=["h2"], cause="c1")).refuses(UnknownUser)


def test_hashes_do_not_show_in_logs():
    state = given(ANN, HER_PASSWORD).state("account-42")
    assert state.password_hash == "$hash1"
    assert "$hash1" not in f"{HER_PASSWORD!r} {register()!r} {state!r}"
    assert (repr(register()), repr(HER_PASSWORD)) == ("RegisterAccount(uid=42)", "CredentialChanged(uid=42)")


def test_looking_changes_nothing():
    given(ANN, HER_PASSWORD).when(LookUpAccount(uid=42, cause="c1")).then_nothing()


@pytest.mark.parametrize(
    ("stream", "history"),
    [
        ("account-42", [ANN, HER_PASSWORD, SHE_LEFT]),
        ("handle-ann", [HandleClaimed(handle="ann", uid=42, **WHEN)]),
        ("home-h1", [HomeAnnounced(name="h1", url="http://h1", **WHEN), HomeRetired(name="h1", **WHEN)]),
    ],
)
def test_a_snapshot_is_the_state(stream, history):
    state = given(history).state(stream)
    assert restored(RULES.new_state(stream), state) == state


def test_only_the_credential_is_private():
    assert CredentialChanged.PRIVATE
    assert not any(kind.PRIVATE for kind in (UserRegistered, ProfileChanged, AccountClosed, HandleClaimed))
