"""What can be asked about a seal. Rule: hashing is done before a command is made; `decide.py` says what comes of it."""

from msgspec import Struct

from domain.integrity.chain import Seal


class SealCommand(Struct, frozen=True, kw_only=True):
    """A wish concerning a seal of `server`'s log."""

    server: str
    seal: Seal
    cause: str
    life: int = 0  # of the log; 0: told by a server from before logs had lives
    signature: str = ""  # the server's, in hex; empty: of a server from before servers had keys


class SealLog(SealCommand, frozen=True, kw_only=True):
    """Store this seal of our own log."""

    @property
    def stream(self) -> str:
        """The stream whose state decides."""
        return f"log-{self.server}"


class WitnessSeal(SealCommand, frozen=True, kw_only=True):
    """Keep another server's seal. `number`: the seal's version in that server's stream; `sealed_at`: seconds since 1970, by its clock."""

    number: int
    sealed_at: float

    @property
    def stream(self) -> str:
        """The stream whose state decides."""
        return f"witness-{self.server}"
