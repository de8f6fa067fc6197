"""What an offer to be called directly may cost, and where it may lead. Rule: each value says in its comment why it is this one."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from edge.direct.line import DirectLine, call_client
from edge.http.client_address import Network

CallClient = Callable[[str, int, bytes, float], Awaitable[tuple[DirectLine | None, str | None]]]


@dataclass(frozen=True, slots=True)
class DirectConfig:
    """How one home calls its clients. `networks`: where it may call them, beyond the public addresses; `call`: how it connects."""

    networks: Sequence[Network] = ()
    probe_s: float = 2.0  # for connecting and answering: a client that takes longer is better served over its back connection
    stall_s: float = 2.0  # a client that confirms nothing of what it was sent for so long has most likely lost the line
    probes_per_s: float = 0.2
    probes_burst: int = 40  # all of a user's 20 sessions may come back twice over; nobody needs more
    call: CallClient = call_client
