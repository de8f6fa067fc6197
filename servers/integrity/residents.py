"""Whose streams may lie in a log. Rule: where a user lives is the Global Server's word, from its log or from its part of the history."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from domain.event import stream_kind
from domain.events.global_server import UserRegistered
from domain.events.home import UserClosed
from domain.registry.registered_home import GLOBAL
from domain.rules.by_server import rules_of
from projections.audit.facts import fields_of
from servers.integrity.findings import Finding
from servers.integrity.witnesses import name_of
from servers.store.databases import open_view
from servers.store.log.event_log import Row

OF_A_USER = frozenset({"user", "mailbox"})  # kinds of streams that lie at the user's home only
OF_THE_SERVER = frozenset({"log", "restored", "clock", "life", "throttles"})  # kinds of streams that are about the log in which they lie


class Residents:
    """The home of each user. `global_url`: the Global Server's store; without it, only users of the history are known."""

    def __init__(self, global_url: str | None = None) -> None:
        self._global_url = global_url
        self.homes: dict[int, str] = {}
        self._read = False

    @property
    def complete(self) -> bool:
        """Whether a user who is not known is nobody's."""
        return self._global_url is not None

    def learn(self, topic: str, data: bytes) -> None:
        """An event of the Global Server."""
        if topic == UserRegistered.TOPIC:
            fields = fields_of(data)
            uid, home = fields.get("uid"), fields.get("home")
            if isinstance(uid, int) and isinstance(home, str):
                self.homes.setdefault(uid, home)

    def read(self, again: bool = False) -> None:
        """Learn what the Global Server's store has: once, or `again` what it has now. Raises `Unavailable`."""
        if self._global_url is not None and (again or not self._read):
            self._read = True
            with closing(open_view(self._global_url, GLOBAL)) as log:
                for row in log.rows():
                    self.learn(row.topic, row.data)


class StreamOwners:
    """Finds streams in the log of `server` that are not its own."""

    name = "the Global Server's users"

    def __init__(self, server: str, residents: Residents) -> None:
        self._server = server
        self._residents = residents
        self._kinds = rules_of(server).states.keys()
        self._found: list[Finding] = []
        self._unknown: list[tuple[int, Row]] = []  # rows of users whom the residents did not know when the log was read

    def see(self, row: Row, fields: Mapping[str, Any]) -> None:
        """The next row, and its stored fields."""
        kind, owner = stream_kind(row.stream), row.stream.partition("-")[2]
        if kind not in self._kinds or (kind in OF_THE_SERVER and owner != self._server):
            self._foreign(row, f"{self._server} has no such stream")
        elif kind not in OF_A_USER or (row.topic == UserClosed.TOPIC and not fields.get("resident")):
            return  # every home notes that somebody left
        elif not owner.isdecimal():
            self._foreign(row, "it belongs to no user")
        elif (home := self._residents.homes.get(int(owner))) is None:
            self._unknown.append((int(owner), row._replace(data=b"")))
        elif home != self._server:
            self._foreign(row, f"the user lives at {home}")

    def findings(self) -> list[Finding]:
        """What was found. The Global Server is asked again for users whom it did not know: they may have come meanwhile."""
        if self._unknown and self._residents.complete:
            self._residents.read(again=True)
            for uid, row in self._unknown:
                home = self._residents.homes.get(uid)
                if home != self._server:
                    self._foreign(row, f"the user lives at {home}" if home else "the Global Server knows no such user")
        return self._found

    def _foreign(self, row: Row, why: str) -> None:
        self._found.append(Finding("foreign", row.position, row.position, {self.name}, what=f"{name_of(row)}: {why}"))
