"""Tracking positions: how far a server has consumed others' events, and published its own. Rule: an inbox position only rises.

A batch holds commands from several homes' inboxes and the relay's own positions; the library's `insert_events` takes one tracking, the
recorders of this package take `trackings=[…]`.
"""

import contextlib

from eventsourcing.persistence import IntegrityError, Tracking

RELAY = "@relay"  # names that begin so say how far a server has published; no server is called so, for those are inbox positions


def unless_relay(tracking: Tracking) -> contextlib.AbstractContextManager[None]:
    """An inbox position that does not rise means that another process consumed it: a conflict. A relay position that does not rise
    means that another process on this store published further: no harm, relays may repeat."""
    return contextlib.suppress(IntegrityError) if tracking.application_name.startswith(RELAY) else contextlib.nullcontext()
