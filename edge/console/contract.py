"""What the ops console needs of the Global Server. Rule: its pages call nothing of the server that is not named here.

This stands apart from `edge/contracts/servers.py`, so that a home loads nothing of the console.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Protocol, TypeVar

from edge.contracts.servers import HeavyUse
from projections.audit.rows import AuditFilter, AuditRow, Life, Online, Page, Person, Shown, StateAt
from servers.global_server.console import DeadLetterSummary, HomeSeen
from servers.security.identity import Identity

T = TypeVar("T")
U = TypeVar("U")


class Console(Protocol):
    """What `servers/global_server/console.py` answers. Every method raises `FlashError` only."""

    @property
    def heavy(self) -> HeavyUse:
        """Who is heavy, and what is done about it."""

    async def sign_in(self, handle: str, password: str, client_address: str) -> str:
        """A token for a user who knows the password."""

    def allows(self, who: Identity) -> bool:
        """Whether this user may use the console."""

    async def in_turn(self, who: Identity, make: Callable[[T], U], items: Sequence[T]) -> list[U]:
        """What `make` makes of each item, such as the rows of a long table: a few at a time, in turn with everybody else's work."""

    async def topics(self) -> Sequence[str]:
        """Every topic that occurs."""

    async def sources(self) -> Sequence[str]:
        """Every server of which there is an event."""

    async def person(self, who: str) -> Person:
        """The user with this handle or uid."""

    async def span(self) -> tuple[float, float]:
        """The times of the first and the last event, in seconds since 1970."""

    def newest(self) -> str:
        """Where a tail begins that shows only what comes from now on."""

    async def events(self, who: Identity, wanted: AuditFilter, cursor: str | None, limit: int, *, what: str = "log") -> Page:
        """A page of events, newest first."""

    def tail(self, who: Identity, wanted: AuditFilter, after: str) -> AsyncGenerator[tuple[Sequence[AuditRow], bool], None]:
        """Events as they come, and whether some were left out. An empty list is a blank: it shows that the tail lives."""

    async def moment(self, who: Identity, person: Person, at: float) -> tuple[StateAt, Sequence[Shown]]:
        """How a user stood, and what their contact window showed."""

    async def trace(self, who: Identity, message: str) -> Sequence[Life]:
        """The popups with this id."""

    async def online(self, who: Identity, at: float) -> Sequence[Online]:
        """Who was online."""

    async def homes(self) -> Sequence[HomeSeen]:
        """Every home, and what it says of its state."""

    async def revoke(self, who: Identity, home: str) -> None:
        """Let nobody believe a home any more."""

    async def own_health(self) -> dict[str, Any]:
        """The Global Server's own figures."""

    async def dead_letters(self) -> Sequence[DeadLetterSummary]:
        """Every dead letter."""

    async def requeue(self, who: Identity, ids: Sequence[str] | None) -> int:
        """Put dead letters back into their queues, all of them when `ids` is None. Returns how many."""

    async def drop(self, who: Identity, ids: Sequence[str]) -> int:
        """Throw dead letters away. Returns how many."""


class Pages:
    """Pages that show what one console answers."""

    def __init__(self, console: Console) -> None:
        self._console = console
