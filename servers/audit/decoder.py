"""Decodes stored events of many servers, with the keys of the servers whose personal data may be read. Rule: without keys everything but
the personal fields is readable.

Each server has keys of its own, so the caller says which server an event is of.
"""

from collections.abc import Callable
from typing import Any

from eventsourcing.utils import TopicError, resolve_topic

from domain.event import Event
from projections.audit.facts import fields_of
from projections.audit.rows import AuditRow
from servers.encryption.event_codec import ENCRYPTED, EventDecoder
from servers.encryption.key_store import NO_KEYS, Ciphers

ERASED = "(erased)"  # is shown in the place of a text whose key is gone


class HistoryDecoder:
    """Decodes the history. `keys_of`: the keys of a server, asked for once; it may raise `Unavailable`."""

    def __init__(self, keys_of: Callable[[str], Ciphers] = lambda source: NO_KEYS) -> None:
        self._keys_of = keys_of
        self._decoders: dict[str, EventDecoder] = {}

    def decode(self, source: str, stream: str, version: int, topic: str, data: bytes) -> Event:
        """Stored bytes of `source` -> the event. Raises as `EventDecoder.decode`, and `Unavailable` when the keys cannot be read."""
        return self._of(source).decode(stream, version, topic, data)

    def fields(self, row: AuditRow) -> dict[str, Any]:
        """The stored fields of an event. Personal fields are decrypted, or `ERASED` where their key is gone. Raises `Unavailable`."""
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
