"""Events about the log itself, of every server. Rule: fields are plain values, stored for ever, and say nothing about what was sealed.

What the numbers and texts are made of: `domain/integrity/chain.py`.
"""

from domain.event import Event


class SealEvent(Event, frozen=True, kw_only=True):
    """One seal of `server`'s log: it covers the numbers `first` to `last`, of which `gaps` hold no event."""

    server: str
    first: int
    last: int
    count: int  # events covered
    gaps: list[list[int]]  # [[from, to], …], mostly none
    previous: str  # the digest of the seal before
    digest: str
    marks: str  # 8 characters for each event covered


class LogSealed(SealEvent, frozen=True, kw_only=True):
    """The server sealed its log up to `last`. Stored in `log-<server>`, so the next seal covers this one. The Global Server is told."""

    TOPIC = "log.sealed"


class SealReceived(SealEvent, frozen=True, kw_only=True):
    """The Global Server keeps a home's seal, where the home cannot change it. Stored in `witness-<server>`."""

    TOPIC = "witness.seal_received"
    number: int  # the seal's version in the home's stream, from 1
    sealed_at: float  # seconds since 1970, as the home had it
    follows: bool  # it continues the seal before; when not, the home's log was rewritten or put back


class LogRestored(Event, frozen=True, kw_only=True):
    """The log was put back from a backup that ended with `backed_up`, and from the history that ended with `told`. What was stored after
    that was lost; this event stands far beyond, so that no number is used twice. Stored in `restored-<server>`."""

    TOPIC = "log.restored"
    server: str
    backed_up: int
    told: int
    missing: int  # events up to `told` that neither had
