"""The names of servers and topics, stored as numbers: every row has them. Rule: a word keeps its number; only the feeder adds one."""

import sqlite3


class Words:
    """The words of one store, as one connection has read them."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._numbers: dict[str, int] = {}
        self._words: dict[int, str] = {}

    def number(self, word: str) -> int:
        """The number of `word`; a new word gets the next number."""
        number = self.known(word)
        if number is None:
            self._database.execute("INSERT INTO words (number, word) SELECT coalesce(max(number), 0) + 1, ? FROM words", (word,))
            self._read()
            number = self._numbers[word]
        return number

    def known(self, word: str) -> int | None:
        """The number of `word`; None when the store does not have it."""
        if word not in self._numbers:
            self._read()
        return self._numbers.get(word)

    def word(self, number: int) -> str:
        """The word with this number."""
        if number not in self._words:
            self._read()
        return self._words[number]

    def forget(self) -> None:
        """Forget everything that was read, because a transaction with new words was rolled back."""
        self._numbers.clear()
        self._words.clear()

    def _read(self) -> None:
        self._words = dict(self._database.execute("SELECT number, word FROM words"))
        self._numbers = {word: number for number, word in self._words.items()}
