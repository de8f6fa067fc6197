"""Stores to test on, and the events to fill them with. Rule: a test sees a store only through `servers.store.event_store.Store`."""

from collections.abc import Iterable

from domain.event import Event, in_stream
from domain.events.home import MessageSent, UserAdopted
from domain.personal import owners
from domain.rules.home import rules_for
from servers.store.event_store import Committed, Store

NOW = 1_700_000_000.0
HOME = rules_for("h1")


def adopted(number: int = 1) -> UserAdopted:
    """An event of a `user-…` stream; `number` tells it from others."""
    return UserAdopted(at=NOW, cause=f"c{number}", handle=f"ann{number}", name="Ann")


def sent(number: int) -> MessageSent:
    """Another, about as large as a popup."""
    return MessageSent(
        at=NOW, cause=f"m{number}", id=f"m{number}", uid=1, handle="ann", name="Ann", to=2, to_home="h2", text="x" * 100,
        in_reply_to=None, urgent=False,
    )  # fmt: skip


def put(store: Store, stream: str, version: int, events: Iterable[Event], trackings=()) -> list[Committed]:
    """Store fresh `events` of `stream` after `version`."""
    fresh = in_stream(events, stream, version)
    store.keys.make({owner for event in fresh for owner in owners(event)})
    return store.put(fresh, store.codec.encode(fresh), trackings)
