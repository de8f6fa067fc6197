"""A home's figures, for Prometheus and for the ops console. Rule: figures are read from the components at the moment of the question."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import asdict

from broker.port import Broker
from broker.topology import inbox
from domain.errors import Unavailable
from projections.by_server import HomeProjections
from servers.messaging.inbox import Inbox
from servers.messaging.outbox import Outbox
from servers.messaging.questions import HomeFigures, HomeHealth
from servers.sessions.sessions import Sessions
from servers.writing.projector import Projector
from servers.writing.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One home's figures. `ready`: None, or why no user can be served."""

    name: str
    broker: Broker
    sessions: Sessions
    projections: HomeProjections
    projector: Projector
    writer: Writer
    outbox: Outbox
    inbox: Inbox
    ready: Callable[[], str | None]

    def figures(self) -> HomeFigures:
        """What the home knows of itself without asking anybody."""
        newest = max(self.projections.presence.position, self.outbox.position)
        return HomeFigures(
            sessions=len(self.sessions),
            users=len(self.projections.presence.users),
            waiting=sum(count for count, _ in self.projections.waiting.mailboxes.values()),
            position=newest,
            writer=self.writer.depth,
            commits=self.writer.commits,
            relay_lag=self.outbox.lag,
            repeats=self.inbox.repeats,
            dead=self.inbox.dead,
            projections=self.projector.lag(newest),
        )

    async def report(self) -> HomeHealth:
        """The figures, and what the broker and the home say of the moment."""
        depth = None
        with contextlib.suppress(Unavailable):
            depth = (await self.broker.depths()).get(inbox(self.name).name)
        return HomeHealth(**asdict(self.figures()), ready=self.ready(), inbox=depth)
