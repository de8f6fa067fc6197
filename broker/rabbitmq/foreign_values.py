"""Reads values that other AMQP clients put into a message's properties. Rule: whatever they are, the message is handed over, and can become
a dead letter: a connection that ended because of it would be handed it again, for ever.

pamqp raises for a time after the year 9999, for a short text that is not UTF-8 and for a header of an unknown type, and aiormq's reader
ends with it. RabbitMQ passes all of them on as it got them.
"""

from collections.abc import Callable

import structlog
from pamqp import decode
from pamqp.commands import Basic

from runtime.per_minute import LINES_A_MINUTE, PerMinute

UNREADABLE_HEADER = "flash-unreadable"  # the properties of this message could not be read; its value is the name of the error

log = structlog.get_logger(__name__)

_read_properties = Basic.Properties.unmarshal


def tolerate_foreign_values() -> None:
    """From now on, in this process, no value ends a connection."""
    decode.METHODS["shortstr"] = _short_text
    setattr(Basic.Properties, "unmarshal", _reader(PerMinute("unreadable properties", LINES_A_MINUTE)))  # noqa: B010 - mypy allows no assignment to a method


def _short_text(value: bytes) -> tuple[int, str]:
    """A short text; what is not UTF-8 in it is replaced, as in a routing key of somebody else."""
    end = value[0] + 1
    return end, bytes(value[1:end]).decode(errors="replace")


def _reader(lines: PerMinute) -> Callable[[Basic.Properties, int, bytes], None]:
    def read(properties: Basic.Properties, flags: int, data: bytes) -> None:
        """The properties, or none but a header that says so: such a message names no publisher, so nothing of it is believed."""
        try:
            _read_properties(properties, flags, data)
        except Exception as error:  # whatever it is, the bytes are somebody else's
            for name in properties.__slots__:
                setattr(properties, name, None)
            properties.headers = {UNREADABLE_HEADER: type(error).__name__}
            if lines.takes(""):
                log.warning("broker.properties_unreadable", error=type(error).__name__, left_out=lines.rest(""))

    return read
