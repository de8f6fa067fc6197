"""Names that come again in every row, stored as numbers. Rule: a word keeps its number; only the feeder gives new ones."""

import sqlite3


class Words:
    """The words of one connection, remembered."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._numbers: dict[str, int] = {}
        self._words: dict[int, str] = {}

    def number(self, word: str) -> int:
        """The number of `word`, given now if it has none."""
        number = self.known(word)
        if number is None:
            self._database.execute("INSERT INTO words (number, word) SELECT coalesce(max(number), 0) + 1, ? FROM words", (word,))
            self._read()
            number = self._numbers[word]
        return number

    def known(self, word: str) -> int | None:
        """The number of `word`, None when nothing was ever stored with it."""
        if word not in self._numbers:
            self._read()
        return self._numbers.get(word)

    def word(self, number: int) -> str:
        """The word behind a number of the store."""
        if number not in self._words:
            self._read()
        return self._words[number]

    def forget(self) -> None:
        """A transaction was rolled back: what was learnt in it does not hold."""
        self._numbers.clear()
        self._words.clear()

    def _read(self) -> None:
        self._words = dict(self._database.execute("SELECT number, word FROM words"))
        self._numbers = {word: number for number, word in self._words.items()}
