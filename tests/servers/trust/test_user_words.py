"""The Global Server's words of users: neither a number nor a handle is given twice, whatever a Global Server that was set back signs."""

from contextlib import closing
from pathlib import Path

import pytest

from servers.encryption.key_tables import SqliteKeys
from servers.trust.server_identity import NotBelieved, ServerIdentity, new_key
from servers.trust.user_words import UserWords, user_word

REGISTRY = ServerIdentity("global", new_key())


def word(uid: int, handle: str, home: str = "h1") -> bytes:
    return user_word(REGISTRY, uid, handle, home)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(word(1, "eve"), id="a number under another handle"),
        pytest.param(word(1, "ann", "h2"), id="a number at another home"),
        pytest.param(word(9, "ann"), id="a handle under another number"),
        pytest.param(word(9, "Ann", "h2"), id="a handle in other letters under another number"),
    ],
)
def test_what_is_ones_is_not_given_to_another_one(tmp_path: Path, other: bytes) -> None:
    with closing(SqliteKeys(tmp_path / "keys.db")) as table:
        words = UserWords(table, lambda: REGISTRY.public)
        words.learn(word(1, "ann"))
        with pytest.raises(NotBelieved, match="to two users"):
            words.learn(other)
        assert (words.twice, set(words.known)) == (1, {1})


def test_what_the_log_knows_of_its_own_users_is_not_given_to_another_one(tmp_path: Path) -> None:
    with closing(SqliteKeys(tmp_path / "keys.db")) as table:
        words = UserWords(table, lambda: REGISTRY.public, taken=lambda uid, handle: (uid == 1) != (handle == "ann"))
        for other in (word(1, "eve"), word(9, "ann")):
            with pytest.raises(NotBelieved, match="to two users"):
                words.learn(other)
        words.learn(word(1, "ann"))


def test_the_handle_of_a_word_that_left_the_memory_is_free_there(tmp_path: Path) -> None:
    with closing(SqliteKeys(tmp_path / "keys.db")) as table:
        words = UserWords(table, lambda: REGISTRY.public, most=1)
        for uid, handle in ((1, "ann"), (2, "bob"), (1, "ann")):
            words.learn(word(uid, handle))
        assert (words.another(1, "ann"), words.another(1, "eve"), words.another(9, "ann")) == (False, True, True)


def test_words_that_may_lie_in_the_table_are_named_until_they_are_read(tmp_path: Path) -> None:
    with closing(SqliteKeys(tmp_path / "keys.db")) as table:
        words = UserWords(table, lambda: REGISTRY.public)
        words.learn(word(1, "ann"))
        words.save()
        restarted = UserWords(table, lambda: REGISTRY.public)
        came = [word(1, "eve"), word(2, "bob")]
        assert restarted.unread(came) == [1, 2]
        restarted.load((1, 2))
        assert restarted.unread(came) == []
        with pytest.raises(NotBelieved, match="to two users"):
            restarted.learn(came[0])
