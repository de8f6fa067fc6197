"""Tracking positions: how far a server has consumed others' events, and published its own. Rule: an inbox position only rises.

A batch holds commands from several homes' inboxes and the relay's own positions; the library's `insert_events` takes one tracking, the
recorders of this package take `trackings=[…]`.
"""

import contextlib
from collections.abc import Sequence

from eventsourcing.persistence import IntegrityError, Tracking

RELAY = "@relay"  # names that begin so say how far a server has published; no server is called so, for those are inbox positions
ASIDE = "@aside"  # names that begin so say what became of one event that an inbox set aside, by its source and position

SET_ASIDE, TOOK_EFFECT = 1, 2  # rising, so that no event takes effect after all for the second time


def aside(source: str, position: int, note: int) -> Tracking:
    """The note that an event of another server took no effect, or did at last."""
    return Tracking(f"{asides_of(source)}{position}", note)


def asides_of(source: str) -> str:
    """How the names of a source's notes begin; the position follows."""
    return f"{ASIDE} {source} "


def unless_relay(tracking: Tracking) -> contextlib.AbstractContextManager[None]:
    """An inbox position that does not rise means that another process consumed it: a conflict. A relay position that does not rise
    means that another process on this store published further: no harm, relays may repeat."""
    return contextlib.suppress(IntegrityError) if tracking.application_name.startswith(RELAY) else contextlib.nullcontext()


def newest(*groups: Sequence[Tracking]) -> list[Tracking]:
    """The furthest position of each source."""
    furthest: dict[str, Tracking] = {}
    for group in groups:
        for tracking in group:
            known = furthest.get(tracking.application_name)
            if known is None or known.notification_id < tracking.notification_id:
                furthest[tracking.application_name] = tracking
    return list(furthest.values())
