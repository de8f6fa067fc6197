"""Request bodies that have not arrived with their heads. Rule: never more in memory than the largest body that is allowed."""

from typing import TYPE_CHECKING

from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from domain.errors import FlashError, Malformed, TooLarge
from edge.contracts.requests import MAX_BODY_BYTES

if TYPE_CHECKING:
    from edge.http.connection import Connection

BAD_FRAMING = "The body is not framed as HTTP has it."


async def read_body(connection: "Connection", message: RawRequestMessage, payload: StreamReader) -> bytes:
    """The whole body of a request that has just begun on `connection`. Raises `TooLarge`, `Malformed`."""
    length = message.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        raise TooLarge(f"A request body has at most {MAX_BODY_BYTES} bytes.")
    if message.headers.get("Expect", "").lower() == "100-continue" and connection.transport is not None:
        connection.edge.outbox.write(connection.transport, b"HTTP/1.1 100 Continue\r\n\r\n")
    if connection.broken:
        raise Malformed(BAD_FRAMING)
    if not connection.receiving:
        connection.receiving, connection.ticks = True, 0
    connection.payload, body = payload, bytearray()
    try:
        while not payload.at_eof():
            body += await payload.readany()
            if len(body) > MAX_BODY_BYTES:
                raise TooLarge(f"A request body has at most {MAX_BODY_BYTES} bytes.")
    except FlashError:
        raise
    except ConnectionError:
        raise Malformed("The body was cut off.") from None
    except Exception:  # the parser has several unrelated errors for broken chunks
        raise Malformed(BAD_FRAMING) from None
    finally:
        connection.payload = None
    return bytes(body)
