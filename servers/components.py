"""What both kinds of server are made of: a log, what writes it, and what talks to the other servers. Rule: no server is known here."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any, Protocol

from broker.port import Broker
from servers.integrity.sealer import Sealer
from servers.messaging.clock_check import ClockCheck
from servers.messaging.heartbeats import PeerMonitor
from servers.messaging.inbox import Inbox
from servers.messaging.outbox import Outbox
from servers.readiness import Readiness
from servers.store.event_store import Store
from servers.writing.erasure import Erasure
from servers.writing.projector import Projector
from servers.writing.writer import Writer


class Stoppable(Protocol):
    """A component that does something by itself until it is stopped."""

    async def stop(self) -> Any:
        """Return when it does nothing any more."""


@dataclass(slots=True, kw_only=True, eq=False)
class Components:
    """The components of one server. The lifecycle of each kind of server adds its own ones and says in which order all of them start."""

    broker: Broker
    store: Store
    projector: Projector
    erasure: Erasure
    writer: Writer
    outbox: Outbox
    sealer: Sealer
    inbox: Inbox
    peers: PeerMonitor
    clock_check: ClockCheck
    readiness: Readiness
    started: bool = field(default=False, init=False)

    async def stop_in_order(self, *components: Stoppable) -> None:
        """Stop these one after the other, then close the store. One that fails keeps no other from it; its failure is raised then."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, self.store.close)
            for component in reversed(components):
                stack.push_async_callback(component.stop)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: everything that came is committed, and everything committed is published."""
        return self.inbox.idle and self.writer.idle and self.outbox.idle
