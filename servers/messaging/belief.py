"""Whether an event of another server is believed. Rule: each event has one server that may say it (`domain/rules/sources.py`);
what another one says is set aside with the reason, and what cannot be judged yet is asked for again.

Cost: about 3 µs for an event about a user whose word is in memory, and less than 1 µs where the same was believed before.
"""

from collections.abc import Callable, Collection, Container, Iterable, Iterator
from dataclasses import dataclass, field

import structlog

from domain.event import Event, stream_kind
from domain.registry.registered_home import GLOBAL
from domain.rules.sources import CLAIMS, OF_THE_HOME, Resident, global_fault, people, person_fault, stream_fault
from runtime.bounds import Bound, Holding
from runtime.per_minute import LINES_A_MINUTE, PerMinute
from servers.trust.server_identity import NotBelieved
from servers.trust.user_words import UserWords

MOST_BELIEVED = 20_000  # streams and claims of other servers: about 10 MB; then each is judged once more
BELIEVED = Bound(
    name="believed",
    holds="which streams each server may tell of, and what it claims",
    filled_by="servers that send mail",
    past="all are forgotten, and each is judged once more",
    within=("Belief.believed",),
    entries=MOST_BELIEVED,
    each=500,
    cache=True,
)

log = structlog.get_logger()


class WordsNeeded(Exception):
    """No error: the Global Server's words of these users must be had before an event can be judged."""

    def __init__(self, uids: Collection[int]) -> None:
        super().__init__(f"{len(uids)} words")
        self.uids = uids


@dataclass(slots=True, eq=False)
class Belief:
    """One server's. `lives_here(uid)`: whether its own log knows this user as its own; `closed`: the users who left for good, of whom
    nothing is asked any more; `nobody`: those who the Global Server says do not exist; `want`: learn words as soon as they can be had."""

    server: str
    words: UserWords
    lives_here: Callable[[int], bool] = lambda uid: False
    closed: Container[int] = frozenset()
    nobody: Container[int] = frozenset()
    want: Callable[[Collection[int]], None] = lambda uids: None
    refused: int = field(default=0, init=False)  # events and words that were not believed
    believed: set[tuple[object, ...]] = field(default_factory=set, init=False)  # (source, topic, stream), and (source, `CLAIMS`)
    lines: PerMinute = field(default_factory=lambda: PerMinute("refused words", LINES_A_MINUTE), init=False)

    def learn(self, source: str, words: Iterable[bytes]) -> None:
        """Take in the words that came with mail. One that does not prove itself is counted and logged."""
        for word in words:
            try:
                self.words.learn(word)
            except NotBelieved as refusal:
                self.refused += 1
                if self.lines.takes(source):
                    log.error("belief.word_refused", source=source, why=str(refusal), left_out=self.lines.rest(source))

    def unread(self, words: Iterable[bytes]) -> list[int]:
        """The users of whom words came, and whose words may lie in the table: they are read first, because the first word counts."""
        try:
            return self.words.unread(words)
        except NotBelieved:  # the word is refused, and counted, when it is learned
            return []

    def stream_fault(self, topic: str, stream: str, source: str) -> str | None:
        """Why the source may not say this, before anything of it is read; None when it may."""
        fault = stream_fault(topic, stream, source)
        if fault is None and self.server == GLOBAL and stream_kind(stream) in OF_THE_HOME:
            fault = "the Global Server hears nothing of what users do"
        return self._counted(fault, source, topic, stream)

    def fault(self, event: Event, source: str) -> str | None:
        """Why the source may not say this; None when it may. Raises `WordsNeeded`."""
        if stream_kind(event.originator_id) not in OF_THE_HOME:
            return self._counted(global_fault(event))
        claims, who = CLAIMS.get(type(event)), people(event, self.server)
        what = () if claims is None else (source, claims(event))
        known: dict[int, Resident] = {}
        missing: list[int] = []
        for uid in who:
            word = self.words.known.get(uid) or self._own(uid)
            if word is not None:
                known[uid] = word
            elif uid in self.nobody:
                return self._counted(f"there is no user {uid}")
            elif uid == who[0] or uid not in self.closed:  # a closed mailbox bounces what comes
                missing.append(uid)
        if missing:
            raise WordsNeeded(missing)
        return self._counted(person_fault(event, who, source, self.server, known), *what)

    def forget(self) -> None:
        """Somebody has left for good. All that was believed is judged once more, because nobody has it by user: 3 µs for each stream."""
        self.believed.clear()

    def holdings(self) -> Iterator[Holding]:
        """What is believed."""
        yield BELIEVED.holding(len(self.believed))
        yield from self.lines.holdings()

    def _counted(self, fault: str | None, *believed: object) -> str | None:
        self.refused += fault is not None
        if fault is None and believed:
            if len(self.believed) >= MOST_BELIEVED:
                self.believed.clear()
            self.believed.add(believed)
        return fault

    def _own(self, uid: int) -> Resident | None:
        return Resident("", self.server) if self.lives_here(uid) else None
