"""Dead letters of the embedded broker. Rule: a dead letter is put back or deleted in one transaction with all others of the same call."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

from broker.dead_letter import MAX_DEAD_LETTERS, DeadLetter, read_dead_letter, returned_headers
from broker.embedded.journal import Journal
from broker.embedded.journal_file import Row
from broker.embedded.queue import Inbox
from broker.topology import DEAD, inbox_of
from domain.errors import Unavailable

log = structlog.get_logger(__name__)


class DeadLetters:
    """Visits to `flash.dead`. `rows` runs a query; `commit` returns once the batch of the journal is on disk. Both raise `Unavailable`."""

    def __init__(
        self,
        journal: Journal,
        inboxes: Mapping[str, Inbox],
        rows: Callable[[str, Row], Awaitable[list[Row]]],
        commit: Callable[[], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._inboxes = inboxes
        self._rows = rows
        self._commit = commit
        self._visiting = asyncio.Lock()  # two concurrent visits would move the same dead letters twice

    async def look(self) -> list[DeadLetter]:
        """The first dead letters. Raises `Unavailable`."""
        return [read_dead_letter(headers, body) for _, headers, body in await self._stored()]

    async def requeue(self, ids: Collection[str] | None) -> int:
        """Move dead letters to the queues that they came from. Raises `Unavailable`; then none was moved."""
        async with self._visiting:
            moves = []
            for id_, headers, body in await self._stored():
                letter = read_dead_letter(headers, body)
                if ids is None or letter.id in ids:
                    if inbox_of(letter.queue) is None and ids is None:
                        log.warning("broker.dead_letter_stays", queue=letter.queue)
                        continue
                    if inbox_of(letter.queue) is None or letter.queue not in self._inboxes:
                        raise Unavailable(f"no queue takes the dead letter of {letter.queue or 'nowhere'}")
                    moves.append((id_, letter.queue, json.dumps(returned_headers(headers)), body))
            self._journal.batch.moves.extend(moves)
            if moves:
                await self._commit()
            return len(moves)

    async def drop(self, ids: Collection[str]) -> int:
        """Delete dead letters. Raises `Unavailable`; then they are deleted later."""
        async with self._visiting:
            gone = [id_ for id_, headers, body in await self._stored() if read_dead_letter(headers, body).id in ids]
            self._journal.batch.gone.extend(gone)
            self._inboxes[DEAD].depth -= len(gone)
            if gone:
                await self._commit()
            return len(gone)

    async def _stored(self) -> list[tuple[int, Mapping[str, object], bytes]]:
        rows = await self._rows("SELECT id, headers, body FROM messages WHERE queue = ? ORDER BY id LIMIT ?", (DEAD, MAX_DEAD_LETTERS))
        return [(id_, json.loads(headers or "{}"), body) for id_, headers, body in rows]
