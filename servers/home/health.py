"""How a home is, in figures: for Prometheus, and for whoever asks over the broker. Rule: read from the parts at the moment of asking.

The question is `{"ask": "health"}` on `flash.requests`, key `home.<name>`; the answer is a msgpack map of these figures.
"""

import contextlib
from typing import TYPE_CHECKING, Any

from broker.topology import inbox
from domain.errors import Unavailable

if TYPE_CHECKING:
    from servers.home.assembly import HomeParts


def home_figures(parts: "HomeParts") -> dict[str, Any]:
    """What a home knows of itself without asking anybody. Positions and lags are in events."""
    newest = max(parts.presence.position, parts.relay.position)
    return {
        "sessions": len(parts.sessions),
        "users": len(parts.presence.users),
        "waiting": sum(count for count, _ in parts.waiting.mailboxes.values()),
        "position": newest,
        "writer": parts.writer.depth,
        "commits": parts.writer.commits,
        "relay_lag": parts.relay.lag,
        "repeats": parts.inbox.repeats,
        "dead": parts.inbox.dead,
        "projections": parts.projector.lag(newest),
    }


async def home_health(parts: "HomeParts") -> dict[str, Any]:
    """The figures, whether the home is `ready` (None, or why not), and the depth of its `inbox` (None while the broker does not say)."""
    depth = None
    with contextlib.suppress(Unavailable):
        depth = (await parts.broker.depths()).get(inbox(parts.name).name)
    return {**home_figures(parts), "ready": parts.ready(), "inbox": depth}
