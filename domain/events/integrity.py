"""Events about the log itself, of every server. Rule: fields are plain values, stored for ever, and tell nothing of the sealed events.

`domain/integrity/chain.py` says how their numbers and texts are made.
"""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from domain.event import Event
from domain.values import HomeName, Moment, Number, Word

Gap = Annotated[list[Number], Meta(min_length=2, max_length=2)]  # [from, to]


class SealEvent(Event, frozen=True, kw_only=True):
    """One seal of `server`'s log. It covers the positions `first` to `last`, of which those in `gaps` hold no event. Version 1 had no
    field `life`, version 2 no `signature`."""

    server: HomeName
    first: Number
    last: Number
    count: Number  # how many events it covers
    gaps: list[Gap]  # mostly empty
    previous: Word  # the digest of the seal before
    digest: Word
    marks: str  # 8 characters for each event covered
    life: Number  # of the log that was sealed; 0 in a seal from before logs had lives
    signature: str = ""  # of `server`, in hex (`domain/integrity/chain.py`); empty in a seal from before servers had keys

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Version 2 added `life`."""
        state["life"] = 0

    @staticmethod
    def upcast_v2_v3(state: dict[str, Any]) -> None:
        """Version 3 added `signature`."""
        state["signature"] = ""


class LogSealed(SealEvent, frozen=True, kw_only=True):
    """The server sealed its log up to `last`. Stored in `log-<server>`, so the next seal covers this event. The Global Server is told."""

    TOPIC = "log.sealed"
    class_version: ClassVar[int] = 3


class SealReceived(SealEvent, frozen=True, kw_only=True):
    """The Global Server keeps a home's seal, where the home cannot change it. Stored in `witness-<server>`."""

    TOPIC = "witness.seal_received"
    class_version: ClassVar[int] = 3
    number: Number  # the version of the seal in the stream of the home, from 1
    sealed_at: Moment  # seconds since 1970, by the clock of the home
    follows: bool  # it continues the seal before; if it does not, the home's log was rewritten or set back


class LogRestored(Event, frozen=True, kw_only=True):
    """The log was restored from a backup that ended at position `backed_up`, and from the history that ended at `told`. Later events were
    lost. This event stands far beyond both, so that no position is used twice. Stored in `restored-<server>`."""

    TOPIC = "log.restored"
    server: HomeName
    backed_up: Number
    told: Number
    missing: Number  # how many events up to `told` neither of them had


class ClockCorrected(Event, frozen=True, kw_only=True):
    """Ops accepted that the server's clock was put right: from the position `first` on, times begin anew. Stored in `clock-<server>`."""

    TOPIC = "log.clock_corrected"
    server: HomeName
    first: Number
    ahead_s: float  # how far the newest time before `first` is ahead of the times from there on
    proof: str  # under the server's own key, because nobody else may say so


class LifeBegan(Event, frozen=True, kw_only=True):
    """The log began a life: when it was made, when it was restored, or when it was set back and went on. Up to the position `agreed` the
    life `former` says the same; what that one had behind it is not in this log. Stored in `life-<server>`."""

    TOPIC = "log.life_began"
    server: HomeName
    life: Number  # random, so that no two are the same
    former: Number  # 0: there was none, or the log is from before logs had lives
    agreed: Number
