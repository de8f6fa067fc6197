"""A client that speaks AMQP itself, so that it can send what no library sends. Rule: the bytes of the properties are the test's."""

import asyncio
import struct
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pamqp import body, commands, frame, header

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = commands.Basic.Properties(message_id="a-text", timestamp=WHEN, headers={"when": WHEN})
SECONDS = struct.pack(">Q", int(WHEN.timestamp()))
POISON = {
    "a time after the year 9999": lambda packed: packed.replace(SECONDS, struct.pack(">Q", 2**62)),
    "a short text that is no text": lambda packed: packed.replace(b"a-text", b"\xff\xfe\xfd\xfc\xfb\xfa"),
}


async def publish(url: str, exchange: str, key: bytes, message: bytes, poison: str | None = None) -> None:
    """Publish one message, and return when RabbitMQ has taken it."""
    target = urlsplit(url)
    reader, writer = await asyncio.open_connection(target.hostname, target.port or 5672)

    async def receives(kind: type) -> None:
        while True:
            head = await reader.readexactly(7)
            rest = await reader.readexactly(struct.unpack(">I", head[3:7])[0] + 1)
            _, _, method = frame.unmarshal(head + rest)
            if isinstance(method, kind):
                return

    def send(what: object, channel: int = 0) -> None:
        writer.write(frame.marshal(what, channel))  # type: ignore[arg-type]

    writer.write(b"AMQP\x00\x00\x09\x01")
    await receives(commands.Connection.Start)
    send(commands.Connection.StartOk(mechanism="PLAIN", response=f"\0{target.username or 'guest'}\0{target.password or 'guest'}"))
    await receives(commands.Connection.Tune)
    send(commands.Connection.TuneOk(2047, 131_072, 0))
    send(commands.Connection.Open(target.path[1:].replace("%2F", "/") or "/"))
    await receives(commands.Connection.OpenOk)
    send(commands.Channel.Open(), 1)
    await receives(commands.Channel.OpenOk)
    send(commands.Confirm.Select(), 1)
    await receives(commands.Confirm.SelectOk)
    marked = b"KEY-" * 4  # replaced by the bytes of the key, which need not be text
    published = frame.marshal(commands.Basic.Publish(exchange=exchange, routing_key=marked.decode()), 1)
    at = published.index(bytes([len(marked)]) + marked)
    changed = published[:at] + bytes([len(key)]) + key + published[at + 1 + len(marked) :]
    writer.write(changed[:3] + struct.pack(">I", len(changed) - 8) + changed[7:])
    packed = frame.marshal(header.ContentHeader(0, len(message), PLAIN), 1)
    writer.write(packed if poison is None else POISON[poison](packed))
    send(body.ContentBody(message), 1)
    await receives(commands.Basic.Ack)
    writer.close()
