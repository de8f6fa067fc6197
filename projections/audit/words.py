"""The names of servers and topics, stored as numbers: every row has them. Rule: a word keeps its number; only the feeder adds one."""

import sqlite3

import structlog

MOST_TOPICS = 256  # of one server: this version knows some fifty, and the rest is room for later ones
OTHER_TOPICS = "(other topics)"  # stands for those beyond

log = structlog.get_logger()


class Words:
    """The words of one store, as one connection has read them: each is looked up once."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._numbers: dict[str, int] = {}
        self._words: dict[int, str] = {}

    def number(self, word: str) -> int:
        """The number of `word`; a new word gets the next number."""
        number = self.known(word)
        if number is None:
            (last,) = self._database.execute("SELECT coalesce(max(number), 0) FROM words").fetchone()
            number = last + 1
            self._database.execute("INSERT INTO words (number, word) VALUES (?, ?)", (number, word))
            self._note(number, word)
        return number

    def known(self, word: str) -> int | None:
        """The number of `word`; None when the store does not have it."""
        if word not in self._numbers:
            found = self._database.execute("SELECT number FROM words WHERE word = ?", (word,)).fetchone()
            if found is None:
                return None
            self._note(found[0], word)
        return self._numbers[word]

    def word(self, number: int) -> str:
        """The word with this number."""
        if number not in self._words:
            (word,) = self._database.execute("SELECT word FROM words WHERE number = ?", (number,)).fetchone()
            self._note(number, word)
        return self._words[number]

    def forget(self) -> None:
        """Forget everything that was read, because a transaction with new words was rolled back."""
        self._numbers.clear()
        self._words.clear()

    def _note(self, number: int, word: str) -> None:
        self._numbers[word], self._words[number] = number, word


class Topics:
    """The topics of each server, in the table `kinds`. A server that invents topics has no more than `MOST_TOPICS`: what comes after is
    stored as `OTHER_TOPICS`."""

    def __init__(self, database: sqlite3.Connection, words: Words) -> None:
        self._database = database
        self._words = words
        self._of: dict[int, dict[str, int]] = {}  # by server

    def number(self, source: int, topic: str) -> int:
        """The number of a topic of which this server tells."""
        known = self._of.get(source)
        if known is None:
            stored = self._database.execute("SELECT word, number FROM kinds JOIN words ON number = topic WHERE source = ?", (source,))
            known = self._of[source] = dict(stored.fetchall())
        if topic not in known:
            if len(known) >= MOST_TOPICS and topic != OTHER_TOPICS:
                if OTHER_TOPICS not in known:
                    log.error("audit.too_many_topics", source=self._words.word(source), most=MOST_TOPICS)
                return self.number(source, OTHER_TOPICS)
            known[topic] = self._words.number(topic)
            self._database.execute("INSERT INTO kinds VALUES (?, ?)", (source, known[topic]))
        return known[topic]

    def forget(self) -> None:
        """As `Words.forget`."""
        self._of.clear()
