"""A server's signed word of how far its own log has come. Rule: another server keeps it and shows it again, and only its author's signature
proves it; so nobody can stop a server by inventing a position.
"""

from msgspec import Struct

from servers.trust.server_identity import NotBelieved, ServerIdentity, read_signed

PURPOSE = "standing"


class Standing(Struct, frozen=True):
    """The log was in `life` and had come to `position`."""

    life: int
    position: int


def signed_standing(identity: ServerIdentity, life: int, position: int) -> bytes:
    """What another server is asked to keep."""
    return identity.signed(PURPOSE, Standing(life, position))


def own_standing(identity: ServerIdentity, shown: bytes) -> Standing | None:
    """Our own word, which somebody kept for us; None when it is not ours."""
    try:
        return read_signed(identity.public, PURPOSE, shown, Standing)
    except NotBelieved:
        return None
