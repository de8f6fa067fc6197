"""Which users have a word that begins with these letters, and in which field. Rule: answers come in the order of uids, a page at a time.

For each field, the distinct words stand in one sorted list, so the words with a prefix are a slice of it; each word has its uids, in order.
The words of each user are also kept as one text, because to check a few candidates is faster than to gather a common word's thousands.
"""

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from projections.directory.words import words

FRESH_WORDS = 256  # from here on, to sort the nearly sorted list costs less than to insert the new words one by one
FEW = 5_000  # so many candidates are checked in less than 2 ms
_MARKED_WORD = re.compile(r"[\x01-\x1f] \w+")  # in a user's text: the field's mark, a space, the word
LAST = "\U0010ffff"  # sorts after every letter


@dataclass(slots=True)
class _Field:
    """The words of one field. `fresh`: those that are not in `ordered` yet."""

    mark: str
    holders: dict[str, list[int]] = field(default_factory=dict)
    ordered: list[str] = field(default_factory=list)
    fresh: set[str] = field(default_factory=set)

    def add(self, word: str, uid: int) -> None:
        uids = self.holders.get(word)
        if uids is None:
            self.holders[word] = [uid]
            self.fresh.add(word)
        elif uids[-1] < uid:
            uids.append(uid)
        elif uids[bisect_left(uids, uid)] != uid:
            insort(uids, uid)

    def discard(self, word: str, uid: int) -> None:
        uids = self.holders[word]
        del uids[bisect_left(uids, uid)]
        if not uids:
            del self.holders[word]
            if word in self.fresh:
                self.fresh.discard(word)
            else:
                del self.ordered[bisect_left(self.ordered, word)]

    def beginning_with(self, prefix: str) -> Iterator[list[int]]:
        if len(self.fresh) > FRESH_WORDS:
            self.ordered.extend(self.fresh)
            self.ordered.sort()
        else:
            for word in self.fresh:
                insort(self.ordered, word)
        self.fresh.clear()
        low = bisect_left(self.ordered, prefix)
        high = bisect_right(self.ordered, prefix + LAST, low)
        return map(self.holders.__getitem__, self.ordered[low:high])


@dataclass(slots=True)
class _Wish:
    """One word that must be found. `mark`: the characters with which it begins in a user's text."""

    mark: str
    lists: list[list[int]]
    size: int

    def uids(self) -> set[int]:
        return set().union(*self.lists)


class WordIndex:
    """Users by the words of their fields."""

    def __init__(self, fields: Sequence[str], few: int = FEW) -> None:
        """`fields`: the names that `put` may use and `find` may narrow to. `few`: so many candidates are checked one by one."""
        self._few = few
        self._fields = {name: _Field(mark=f"{chr(number)} ") for number, name in enumerate(fields, start=1)}
        self._by_mark = {where.mark[0]: where for where in self._fields.values()}
        self._texts: dict[int, str] = {}
        self._uids: list[int] = []

    def put(self, uid: int, texts: Mapping[str, str]) -> None:
        """Index `uid` under the words of `texts` (by field), and no longer under any other word."""
        marked = {where.mark + word for name, text in texts.items() for where in [self._fields[name]] for word in words(text)}
        before = set(_MARKED_WORD.findall(self._texts.get(uid, "")))
        if uid not in self._texts:
            insort(self._uids, uid)
        self._texts[uid] = "".join(marked)
        self._exchange(uid, before, marked)

    def drop(self, uid: int) -> None:
        """Forget `uid`."""
        marked = self._texts.pop(uid, None)
        if marked is not None:
            del self._uids[bisect_left(self._uids, uid)]
            self._exchange(uid, set(_MARKED_WORD.findall(marked)), set())

    def _exchange(self, uid: int, before: set[str], after: set[str]) -> None:
        for gone in before - after:
            self._by_mark[gone[0]].discard(gone[2:], uid)
        for come in after - before:
            self._by_mark[come[0]].add(come[2:], uid)

    def find(self, anywhere: str, narrowed: Mapping[str, str], after: int, count: int) -> list[int]:
        """The first `count` uids above `after` that have every word of `anywhere` in some field, and every word of each of `narrowed` in
        that field. An empty question finds everybody; a question without a letter or digit finds nobody."""
        asked = [text for text in (anywhere, *narrowed.values()) if text.strip()]
        if not asked:
            return self._uids[(start := bisect_right(self._uids, after)) : start + count]
        if not all(map(words, asked)):
            return []
        wishes = [self._wish(" " + word, self._fields.values(), word) for word in set(words(anywhere))]
        for name, text in narrowed.items():
            where = self._fields[name]
            wishes += [self._wish(where.mark + word, [where], word) for word in set(words(text))]
        wishes.sort(key=lambda wish: wish.size)
        return self._page(wishes, after, count)

    def _wish(self, mark: str, fields: Iterable[_Field], word: str) -> _Wish:
        lists = [uids for where in fields for uids in where.beginning_with(word)]
        return _Wish(mark, lists, sum(map(len, lists)))

    def _page(self, wishes: list[_Wish], after: int, count: int) -> list[int]:
        rarest, *others = wishes
        if rarest.size > self._few:  # every word is common, so the first users checked will soon fill the page
            start = bisect_right(self._uids, after)
            found = self._check(iter(self._uids[start : start + self._few]), wishes, count)
            if len(found) == count:
                return found
            candidates = rarest.uids()
            for wish in others:
                candidates &= wish.uids()
            return sorted(uid for uid in candidates if uid > after)[:count]
        return self._check(iter(sorted(uid for uid in rarest.uids() if uid > after)), others, count)

    def _check(self, candidates: Iterator[int], wishes: Sequence[_Wish], count: int) -> list[int]:
        texts = self._texts
        for wish in wishes:
            candidates = _having(wish.mark, texts, candidates)
        return list(islice(candidates, count))


def _having(mark: str, texts: Mapping[int, str], candidates: Iterator[int]) -> Iterator[int]:
    return (uid for uid in candidates if mark in texts[uid])
