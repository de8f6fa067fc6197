"""The rules of one Home Server's entry at the Global Server (`home-<name>`). Rule: pure; whether a home is alive is not decided here."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from domain.errors import Invalid
from domain.event import Event
from domain.events.global_server import HomeAnnounced, HomeRetired

HOME_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")  # it becomes part of queue names and routing keys: no dots, stars or hashes
HOME_URL = re.compile(r"https?://[^\s/?#]+[^\s?#]*")
GLOBAL = "global"  # the Global Server's name among servers; its inbox is `flash.home.global`, so no home may have this name


@dataclass(slots=True)
class HomeState:
    """A home's entry, folded. `url` is empty until it was announced."""

    stream: str
    version: int = 0
    url: str = ""
    retired: bool = False

    def dump(self) -> list[Any]:
        """Plain data, for a snapshot."""
        return [self.url, self.retired]

    def load(self, data: list[Any]) -> None:
        """The reverse of `dump`."""
        self.url, self.retired = data


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceHome:
    """A home says that it is there, and where clients reach it."""

    name: str
    url: str
    cause: str

    @property
    def stream(self) -> str:
        return f"home-{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireHome:
    """Give this home no new users."""

    name: str
    cause: str

    @property
    def stream(self) -> str:
        return f"home-{self.name}"


HomeCommand = AnnounceHome | RetireHome


def announce_home(state: HomeState, command: AnnounceHome, now: float) -> list[Event]:
    """Homes say it at every start: nothing happens when it is known. A retired home that comes back is in use again. Raises `Invalid`."""
    if not HOME_NAME.fullmatch(command.name) or command.name == GLOBAL:
        raise Invalid("name", f"1 to 32 of a-z 0-9 _ -, starting with a letter, not {GLOBAL!r}")
    if not HOME_URL.fullmatch(command.url):
        raise Invalid("url", "an absolute http or https URL")
    url = command.url.rstrip("/")
    if state.url == url and not state.retired:
        return []
    return [HomeAnnounced(name=command.name, url=url, at=now, cause=command.cause)]


def retire_home(state: HomeState, command: RetireHome, now: float) -> list[Event]:
    """Nothing happens when it never was announced or is retired already."""
    if not state.url or state.retired:
        return []
    return [HomeRetired(name=command.name, at=now, cause=command.cause)]


def evolve(state: HomeState, event: Event) -> None:
    """Apply one event of `home-<name>`, in order."""
    match event:
        case HomeAnnounced():
            state.url, state.retired = event.url, False
        case HomeRetired():
            state.retired = True
    state.version = event.originator_version


DECIDERS: dict[type, Callable[[Any, Any, float], list[Event]]] = {AnnounceHome: announce_home, RetireHome: retire_home}
