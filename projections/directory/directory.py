"""The directory: who is registered, at which home, and who matches a search. Rule: a pure fold of the Global Server's own events.

Replaying changes nothing, because an event at or below `position` is passed over. A checkpoint and the events after it give the same
directory as all events.
"""

import re
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, ClassVar, NamedTuple

from domain.errors import Invalid
from domain.events.global_server import (
    AccountClosed,
    CertificateIssued,
    HomeAnnounced,
    HomeEnrolled,
    HomeRetired,
    HomeRevoked,
    ProfileChanged,
    UrlAllowed,
    UserRegistered,
)
from domain.personal import Personal
from domain.profile import PROFILE_FIELDS, display_name, with_changes
from projections.directory.word_index import WordIndex
from projections.directory.words import words
from projections.server.log_fold import LogFold

SEARCH_FIELDS = ("handle", *PROFILE_FIELDS)
DEFAULT_LIMIT = 20  # a window's worth of people
MAX_LIMIT = 100  # of ordinary people, who have 20 KB together
MAX_PAGE_CHARS = 65_536  # of profiles in a page: a user's 64 connections may hold an answer each
MAX_WORDS_CHARS = 200  # nobody types a longer search
MAX_WORDS = 16  # different words of a search in all: each costs 0.2 ms among 5,000 users, and a form that is filled in has ten
_CURSOR = re.compile(r"[0-9a-f]{1,16}")


@dataclass(frozen=True, slots=True)
class Listed:
    """A user as the directory lists them."""

    uid: int
    handle: str
    home: str
    profile: Mapping[str, str]

    @property
    def name(self) -> str:
        """What others see: the full name, or else the handle."""
        return display_name(self.handle, self.profile)


@dataclass(frozen=True, slots=True)
class ListedHome:
    """A home as it announced itself. `retired`: it takes no new users."""

    name: str
    url: str
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the Global Server states of a home. `key`: with which it is enrolled, in hex; `number`, `expires`: of its newest certificate;
    `revoked`: up to which number none is believed; `allowed`: the URL that was last allowed."""

    key: str = ""
    number: int = 0
    expires: float = 0.0
    revoked: int = 0
    allowed: str = ""

    @property
    def enrolled(self) -> bool:
        """Whether the home has a certificate that was not revoked."""
        return self.number > self.revoked


NOT_ENROLLED = Enrolment()


class Question(NamedTuple):
    """What the index is asked by a search; see `WordIndex.find`."""

    anywhere: str
    narrowed: Mapping[str, str]
    after: int
    most: int


class Directory(LogFold):
    """Users and homes. `last_uid`: the highest number that was ever given."""

    def __init__(self) -> None:
        super().__init__()
        self.last_uid = 0
        self.users: dict[int, Listed] = {}
        self.homes: dict[str, ListedHome] = {}
        self.enrolments: dict[str, Enrolment] = {}
        self._uids: dict[str, int] = {}
        self._residents: Counter[str] = Counter()
        self.index = WordIndex(SEARCH_FIELDS)

    def by_handle(self, handle: str) -> Listed | None:
        """The user with this handle, whatever its case."""
        return self.users.get(self._uids.get(handle.lower(), 0))

    def residents(self, home: str) -> int:
        """How many users live at `home`."""
        return self._residents[home]

    def home_url(self, home: str) -> str:
        """Where clients reach `home`; empty when it never announced itself."""
        listed = self.homes.get(home)
        return listed.url if listed else ""

    def is_revoked(self, home: str) -> bool:
        """Whether the home was revoked and not enrolled again."""
        enrolment = self.enrolments.get(home, NOT_ENROLLED)
        return enrolment.revoked > 0 and not enrolment.enrolled

    def pick_home(self, live: Collection[str], expected: Mapping[str, int] | None = None) -> str | None:
        """The home for a new user: among the homes that are `live`, announced and not retired, the one with the fewest users, and among
        equals the first by name. `expected`: home -> how many users are being registered there. None when there is no such home."""
        coming = expected or {}
        open_homes = [
            home.name for home in self.homes.values() if home.name in live and not home.retired and not self.is_revoked(home.name)
        ]
        return min(open_homes, key=lambda name: (self._residents[name] + coming.get(name, 0), len(name), name), default=None)

    def search(
        self, text: str = "", fields: Mapping[str, str] | None = None, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> tuple[list[Listed], str | None]:
        """A page of users, found at once: see `question` and `page`."""
        question = self.question(text, fields, limit, cursor)
        return self.page(question, self.index.find(*question))

    def question(self, text: str, fields: Mapping[str, str] | None, limit: int, cursor: str | None) -> Question:
        """What the index must be asked for a page of users in the order of uids, and the cursor of the next page, or None.

        Every word of `text` must begin a word of some field, and every word of each of `fields` must begin a word of that field. Case
        and accents do not matter. A page ends before `limit` where profiles are long. Raises `Invalid` for an unknown field, a bad `limit`
        (1 to `MAX_LIMIT`) or `cursor`, too long a text or too many words.
        """
        narrowed = fields or {}
        for name in narrowed:
            if name not in SEARCH_FIELDS:
                raise Invalid(name, "q, limit, cursor or one of " + ", ".join(SEARCH_FIELDS))
        for name, asked in {"q": text, **narrowed}.items():
            if len(asked) > MAX_WORDS_CHARS:
                raise Invalid(name, f"at most {MAX_WORDS_CHARS} characters")
        if sum(len(set(words(asked))) for asked in (text, *narrowed.values())) > MAX_WORDS:
            raise Invalid("q", f"at most {MAX_WORDS} words, those of the fields included")
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid("limit", f"1 to {MAX_LIMIT}")
        if cursor and not _CURSOR.fullmatch(cursor):
            raise Invalid("cursor", "the `next` of an earlier page")
        after = int(cursor, 16) if cursor else 0
        return Question(text, narrowed, after, limit + 1)

    def page(self, question: Question, found: Sequence[int]) -> tuple[list[Listed], str | None]:
        """The users whom the index has found, as many as fit and one at the least, but for those who have left meanwhile; and the cursor
        of the next page, or None."""
        page: list[Listed] = []
        room, upto = MAX_PAGE_CHARS, 0
        for uid in found[: question.most - 1]:
            user = self.users.get(uid)
            if user is not None:
                room -= sum(map(len, user.profile.values()))
                if page and room < 0:
                    return page, f"{upto:x}"
                page.append(user)
            upto = uid
        return page, f"{upto:x}" if len(found) >= question.most else None

    def to_checkpoint(self) -> dict[str, Any]:
        """Everything, as plain data and `Personal` values."""
        return self.checkpoint(
            last_uid=self.last_uid,
            users=[[user.uid, user.handle, user.home, Personal(user.uid, dict(user.profile))] for user in self.users.values()],
            homes=[[home.name, home.url, home.retired] for home in self.homes.values()],
            enrolments=[[name, *astuple(enrolment)] for name, enrolment in self.enrolments.items()],
        )

    def take(self, data: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint; only for an empty directory."""
        for uid, handle, home, profile in data["users"]:
            self._list(Listed(uid, handle, sys.intern(home), profile))  # one string object for all users of a home
        self.homes = {name: ListedHome(name, url, retired) for name, url, retired in data["homes"]}
        self.enrolments = {name: Enrolment(*fields) for name, *fields in data.get("enrolments", ())}  # missing before homes were enrolled
        self.last_uid = data["last_uid"]

    def _list(self, user: Listed) -> None:
        self.users[user.uid] = user
        self._uids[user.handle] = user.uid
        self._residents[user.home] += 1
        self.index.put(user.uid, {"handle": user.handle, **user.profile})

    def _registered(self, event: UserRegistered) -> None:
        self._list(Listed(event.uid, event.handle, event.home, event.profile))
        self.last_uid = max(self.last_uid, event.uid)

    def _profile_changed(self, event: ProfileChanged) -> None:
        before = self.users[event.uid]
        after = Listed(before.uid, before.handle, before.home, with_changes(before.profile, event.changes))
        self.users[event.uid] = after
        self.index.put(after.uid, {"handle": after.handle, **after.profile})

    def _closed(self, event: AccountClosed) -> None:
        user = self.users.pop(event.uid)
        del self._uids[user.handle]
        self._residents[user.home] -= 1
        self.index.drop(event.uid)

    def _announced(self, event: HomeAnnounced) -> None:
        self.homes[event.name] = ListedHome(event.name, event.url)

    def _retired(self, event: HomeRetired) -> None:
        self.homes[event.name] = ListedHome(event.name, self.home_url(event.name), retired=True)

    def _enrolled(self, event: HomeEnrolled) -> None:
        self._change_enrolment(event.name, key=event.key)

    def _certified(self, event: CertificateIssued) -> None:
        self._change_enrolment(event.name, number=event.number, expires=event.expires)

    def _url_allowed(self, event: UrlAllowed) -> None:
        self._change_enrolment(event.name, allowed=event.url)

    def _revoked(self, event: HomeRevoked) -> None:
        self._change_enrolment(event.name, revoked=event.number)

    def _change_enrolment(self, home: str, **changes: Any) -> None:
        self.enrolments[home] = replace(self.enrolments.get(home, NOT_ENROLLED), **changes)

    FOLDS: ClassVar = {
        UserRegistered: _registered,
        ProfileChanged: _profile_changed,
        AccountClosed: _closed,
        HomeAnnounced: _announced,
        HomeRetired: _retired,
        HomeEnrolled: _enrolled,
        CertificateIssued: _certified,
        UrlAllowed: _url_allowed,
        HomeRevoked: _revoked,
    }
