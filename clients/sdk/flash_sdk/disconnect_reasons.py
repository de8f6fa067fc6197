"""What the end of a connection says: a word for people and programs, and what to make of its transport. Rule: every way has a name."""

from flash_sdk.errors import FlashClientError, ProtocolError, TryLater, Unanswered, UnknownSession, Unreachable
from flash_sdk.stream import Lost, Silent
from flash_sdk.transport_ladder import Ending


def ending_of(error: FlashClientError, *, welcomed: bool = False, flowed: bool = False) -> tuple[str, Ending]:
    """By what a connection ended, after its first part or not (`welcomed`), after any other or not (`flowed`). Raises the error again
    when it is a refusal, which no other connection would mend."""
    match error:
        case Unanswered():
            return "held", Ending.HELD
        case TryLater() | Unreachable():
            return "unreachable", Ending.AWAY
        case UnknownSession():
            return "session", Ending.AWAY
        case Lost():
            return "lost", Ending.AWAY
        case Silent():  # what flowed and then fell silent was cut; what never flowed may have been held back
            return ("silent", Ending.AWAY if flowed else Ending.DOUBTFUL) if welcomed else ("held", Ending.HELD)
        case ProtocolError():
            return "protocol", Ending.DOUBTFUL
    raise error
