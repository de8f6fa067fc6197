"""What waits in a mailbox, with its texts. Rule: read as a session reads it, from the log."""

from domain.events.home import MessageQueued, ReceiptQueued
from servers.store.event_store import Store


def waiting(store: Store, uid: int) -> list[MessageQueued | ReceiptQueued]:
    """The events that wait for this user."""
    stream = f"mailbox-{uid}"
    places = [each.position for each in store.load(stream).waiting.values()]
    return [committed.event for committed in store.read_at(stream, places, 10**9)]
