"""Why a connection ended, as a word for people and programs and as a judgement of its transport. Rule: every way of ending has a name."""

from flash_sdk.errors import FlashClientError, ProtocolError, TryLater, Unanswered, UnknownSession, Unreachable
from flash_sdk.stream import Lost, Silent
from flash_sdk.transport_ladder import Ending


def disconnect_reason(error: FlashClientError, *, welcomed: bool = False, parts_came: bool = False) -> tuple[str, Ending]:
    """The reason and the judgement for `error`. `welcomed`: the first part had come; `parts_came`: others had followed it. Raises the
    error again when it is a refusal, because another connection would be refused as well."""
    match error:
        case Unanswered():
            return "held", Ending.HELD
        case TryLater() | Unreachable():
            return "unreachable", Ending.AWAY
        case UnknownSession():
            return "session", Ending.AWAY
        case Lost():
            return "lost", Ending.AWAY
        case Silent() if not welcomed:
            return "held", Ending.HELD
        case Silent():  # a stream that brought parts was cut; one that brought only its welcome may be held back
            return "silent", Ending.AWAY if parts_came else Ending.DOUBTFUL
        case ProtocolError():
            return "protocol", Ending.DOUBTFUL
    raise error
