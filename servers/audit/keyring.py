"""Reading stored events of many servers, with the keys of those whose personal data may be read. Rule: without keys all else is readable.

Each server has keys of its own, so whoever reads its events must say whose they are.
"""

from collections.abc import Callable
from typing import Any

from eventsourcing.utils import TopicError, resolve_topic

from domain.event import Event
from projections.audit.facts import fields_of
from projections.audit.rows import AuditRow
from servers.encryption.event_codec import ENCRYPTED, EventDecoder
from servers.encryption.key_store import NO_KEYS, Ciphers

ERASED = "(erased)"  # what is shown in the place of words whose key is gone


class Keyring:
    """Makes events of stored bytes. `keys_of`: a server's keys, asked for once; it may raise `Unavailable`."""

    def __init__(self, keys_of: Callable[[str], Ciphers] = lambda source: NO_KEYS) -> None:
        self._keys_of = keys_of
        self._decoders: dict[str, EventDecoder] = {}

    def decode(self, source: str, stream: str, version: int, topic: str, data: bytes) -> Event:
        """Stored bytes of `source` as the event they are. Raises `TypeError` for what is no event of ours, and whatever the library
        raises; `Unavailable` when the server's keys cannot be read."""
        return self._of(source).decode(stream, version, topic, data)

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
        self._of(row.source).decrypt_fields(state, kind, row.stream, row.version)
        return state | {field: ERASED for field in absent if not state[field]}

    def _of(self, source: str) -> EventDecoder:
        if source not in self._decoders:
            self._decoders[source] = EventDecoder(self._keys_of(source))
        return self._decoders[source]
