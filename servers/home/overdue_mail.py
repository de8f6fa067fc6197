"""Popups that another home never committed bounce at their sender's home when their time to live is over. Rule: what that home is known to
have, or what has bounced, bounces no more; where its word comes later after all, its receipt corrects the bounce.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from eventsourcing.persistence import Tracking

from domain.events.home import MessageSent
from domain.mailbox.commands import QueueReceipt
from servers.messaging.mail_blocks import MailBlocks
from servers.messaging.receivers import Receiver, Receivers
from servers.store.event_store import Store
from servers.store.log.positions import settled
from servers.writing.writer import Writer

PORTION = 200  # events of the log that are read, and popups that bounce, in one commit: users' commands come in between

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class OverdueMail:
    """The popups of one home's users that are on their way. `is_up`: whether a server is heard; one that is heard, and can be sent to, says
    by itself what it has; `blocks`: where in the log each server has mail."""

    store: Store
    writer: Writer
    receivers: Receivers
    is_up: Callable[[str], bool]
    blocks: MailBlocks
    bounced: int = 0

    async def bounce(self, before: float, now: float) -> None:
        """Bounce what was sent before `before` and is not known to have arrived. Raises `Unavailable`; then it is done later."""
        for server, receiver in list(self.receivers.known.items()):
            if self.is_up(server) and server not in self.receivers.behind:
                continue
            while await self._bounce(server, receiver, before, now):
                pass

    async def _bounce(self, server: str, receiver: Receiver, before: float, now: float) -> bool:
        """One portion of the log for one server. False when nothing more of it is overdue."""
        known = max(receiver.settled, receiver.confirmed)
        start = self.blocks.clear_until(server, known, receiver.addressed)
        if start >= receiver.addressed:
            return False
        portion = await self.store.run_reader(self.store.read, start, PORTION)
        overdue = []
        for committed in portion:
            if committed.event.at >= before or committed.position > receiver.addressed:
                break
            overdue.append(committed)
        if not overdue:
            return False
        receipts = [
            QueueReceipt(
                uid=event.uid, cause=event.id, id=event.id, to=event.to, state="bounced", why="expired", settled_at=now,
            )
            for event in (committed.event for committed in overdue)
            if isinstance(event, MessageSent) and event.to_home == server
        ]  # fmt: skip
        if max(receiver.settled, receiver.confirmed) > known:  # its word came meanwhile
            return True
        await self.writer.submit(receipts, trackings=[Tracking(settled(server), overdue[-1].position)])
        receiver.settled = overdue[-1].position
        self.bounced += len(receipts)
        if receipts:
            log.warning("mail.bounced", server=server, popups=len(receipts))
        return len(overdue) == len(portion)
