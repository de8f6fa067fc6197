"""Reading stored events of many servers, with the keys of those whose personal data may be read. Rule: without keys all else is readable.

Each server has keys of its own, so whoever reads its events must say whose they are.
"""

from collections.abc import Callable
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.utils import TopicError, resolve_topic

from domain.event import Event
from projections.audit.facts import fields_of
from projections.audit.rows import AuditRow
from servers.encryption.key_store import NO_KEYS, Ciphers
from servers.encryption.personal_fields import ENCRYPTED, SealedMapper, reveal
from servers.store.event_store import MsgpackTranscoder

ERASED = "(erased)"  # what is shown in the place of words whose key is gone


class Keyring:
    """Makes events of stored bytes. `keys_of`: a server's keys, asked for once; it may raise `Unavailable`."""

    def __init__(self, keys_of: Callable[[str], Ciphers] = lambda source: NO_KEYS) -> None:
        self._keys_of = keys_of
        self._mappers: dict[str, tuple[SealedMapper, Ciphers]] = {}

    def decode(self, source: str, stream: str, version: int, topic: str, data: bytes) -> Event:
        """Stored bytes of `source` as the event they are. Raises `TypeError` for what is no event of ours, and whatever the library
        raises; `Unavailable` when the server's keys cannot be read."""
        if ":" in topic:  # the library would import a module of that name
            raise TypeError("not a topic")
        event: Any = self._of(source)[0].to_domain_event(StoredEvent(stream, version, topic, data))
        if not isinstance(event, Event):
            raise TypeError("not an event")
        return event

    def fields(self, row: AuditRow) -> dict[str, Any]:
        """The stored fields of an event, the personal ones opened, those whose key is gone as `ERASED`. Raises `Unavailable`."""
        state = fields_of(row.data)
        try:
            kind: Any = resolve_topic(row.topic) if ":" not in row.topic else None
        except TopicError:  # an event of a later version of Flash
            kind = None
        if kind is None or not getattr(kind, "PERSONAL", None):
            state.pop(ENCRYPTED, None)
            return state
        absent = {field for field in kind.PERSONAL if field not in state}
        reveal(state, kind, row.stream, row.version, self._of(row.source)[1])
        return state | {field: ERASED for field in absent if not state[field]}

    def _of(self, source: str) -> tuple[SealedMapper, Ciphers]:
        if source not in self._mappers:
            keys = self._keys_of(source)
            self._mappers[source] = (SealedMapper(MsgpackTranscoder(), keys), keys)
        return self._mappers[source]
