"""Ports of the SDK that remember what came over them, for tests. Rule: they behave as any port does."""

import asyncio

from flash_sdk import DirectTimeouts, FlashClient, Message
from flash_sdk.direct_port import DirectLine, DirectPort
from flash_sdk.parts import Part


class RecordedLine(DirectLine):
    """A direct line that remembers what came on it, and can be cut."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._transport = writer.transport
        self.came: list[Part] = []
        self.mute = False

    async def next(self) -> Part:
        part = await super().next()
        self.came.append(part)
        return part

    def confirm(self) -> None:
        if not self.mute:
            super().confirm()

    def cut(self) -> None:
        self._transport.abort()


class RecordingPort(DirectPort):
    """A port that remembers its lines, and the popups that came directly and were taken."""

    def __init__(self, client: FlashClient, timeouts: DirectTimeouts | None = None) -> None:
        super().__init__(client.grant.home.url, client.grant.token, timeouts, self._recorded)
        self.lines_made: list[RecordedLine] = []
        self.handed_over: list[Message] = []  # taken or not
        self.taken: list[Message] = []

    def _recorded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> RecordedLine:
        self.lines_made.append(RecordedLine(reader, writer))
        return self.lines_made[-1]

    def deliver(self, message: Message) -> bool:
        self.handed_over.append(message)
        taken = super().deliver(message)
        if taken:
            self.taken.append(message)
        return taken
