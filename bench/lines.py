"""A line: one sender and one recipient, both online, and the popups between them.

Rule: every popup is checked: it must be accepted once, shown once, in order, and receipted.
The recipient acknowledges each message. The sender acknowledges its receipts as the SDK does: seldom and cumulatively.
"""

import asyncio
import json
import re
import time

from bench.http_client import Poster, Stream, head
from bench.load import AnyLine
from bench.people import Person

SENTENCE = "Pop over for a coffee at ten? The others are here already. "  # an ordinary popup
_LENGTHS = (58, 3, 121, 17, 240, 41, 9, 84, 400, 26, 63, 150, 33)  # characters: texts of people vary, and so do the heads of requests
TEXTS = tuple((SENTENCE * (length // len(SENTENCE) + 1))[:length] for length in _LENGTHS)
RECEIPTS_PER_ACK = 32  # as in the mailbox of the SDK
NUMBER = 7  # digits of a popup's number; an id has 5 more for the line
MESSAGE = re.compile(rb'"seq":(\d+),"id":"(\d{5})(\d{7})"')


class Acker:
    """Acknowledges for one session as the SDK does: one request at a time, with the newest number."""

    __slots__ = ("_ends", "_faults", "_given", "_poster", "_start", "upto")

    def __init__(self, poster: Poster, token: str, session: str, faults: list[str]) -> None:
        body = json.dumps({"session": session, "upto": 0}, separators=(",", ":")).encode()[:-2]
        self._start = head("POST", "/v1/acks", token, len(body) + 11) + body
        self._poster = poster
        self._faults = faults
        self._given = 0
        self.upto = 0

    def acknowledge(self, upto: int) -> None:
        """All messages up to this number have arrived."""
        self.upto = upto
        if not self._poster.busy:
            self._given = upto
            self._poster.post(b"%b%-10d}" % (self._start, upto), self._answered)  # spaces before the brace: every length is the same

    def _answered(self, status: int, body: bytes) -> None:
        if status != 204:
            self._faults.append(f"an acknowledgement was answered with {status}: {body[:120]!r}")
        elif self.upto > self._given:
            self.acknowledge(self.upto)


class Line(AnyLine):
    """A pair of users of Flash."""

    async def open(self, sender: Person, recipient: Person) -> None:
        """Log both users in."""
        start = b'{"id":"%05d' % self.number
        self._requests: list[bytes] = []
        for text in TEXTS:
            end = json.dumps({"to": recipient.uid, "text": text}, separators=(",", ":")).encode()[1:]
            first = head("POST", "/v1/messages", sender.token, len(start) + NUMBER + 2 + len(end))
            self._requests.append(first + start + b'%07d",' + end)
        self._streams: list[Stream] = []
        self.posters = [await Poster.connect(person.port) for person in (sender, sender, recipient)]
        self.poster = self.posters[0]
        for person, on_part in ((sender, self._to_sender), (recipient, self._to_recipient)):
            self.opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            self._streams.append(await Stream.connect(person.port, person.token, on_part))
            session = await self.opened
            acker = Acker(self.posters[1 if person is sender else 2], person.token, session, self.faults)
            if person is sender:
                self.receipt_acker = acker
            else:
                self.shown_acker = acker

    def send(self) -> None:
        """Send the next popup. Only while `poster` is not busy."""
        self.sent += 1
        self.poster.post(self._requests[(self.number + self.sent) % len(TEXTS)] % self.sent, self._answered)

    def close(self) -> None:
        """Close the connections."""
        for stream in self._streams:
            stream.close()
        for poster in self.posters:
            poster.close()

    def _answered(self, status: int, body: bytes) -> None:
        if status != 202 or not body.startswith(b'{"id":"%05d%07d"' % (self.number, self.sent)):
            self.faults.append(f"popup {self.sent} of line {self.number} was answered with {status}: {body[:120]!r}")
            return
        self.accepted += 1
        if self.accepted <= self.shown:
            self.on_popup(self, self.accepted, self.shown_at)
        self.on_accepted(self)

    def _to_recipient(self, name: bytes, body: bytes) -> None:
        if name == b"message":
            found = MESSAGE.search(body)
            number = int(found[3]) if found is not None else -1
            if found is None or int(found[2]) != self.number or number != self.shown + 1 or number > self.sent:
                self.faults.append(f"line {self.number} was shown {body[:60]!r} after popup {self.shown}")
                return
            self.shown = number
            self.shown_at = time.perf_counter()
            if number <= self.accepted:
                self.on_popup(self, number, self.shown_at)
            self.shown_acker.acknowledge(int(found[1]))
        elif name != b"blank":
            self._other(name, body)

    def _to_sender(self, name: bytes, body: bytes) -> None:
        if name == b"receipt":
            found = MESSAGE.search(body)
            if found is None or int(found[3]) != self.receipted + 1 or b'"state":"delivered"' not in body:
                self.faults.append(f"line {self.number} was told {body[:90]!r} after receipt {self.receipted}")
                return
            self.receipted += 1
            if self.receipted % RECEIPTS_PER_ACK == 0:
                self.receipt_acker.acknowledge(int(found[1]))
        elif name != b"blank":
            self._other(name, body)

    def _other(self, name: bytes, body: bytes) -> None:
        if name == b"welcome" and not self.opened.done():
            self.opened.set_result(json.loads(body)["session"])
        elif name != b"presence":  # the recipient came after the sender
            self.faults.append(f"line {self.number} got an unexpected part {name!r}: {body[:120]!r}")
            if not self.opened.done():
                self.opened.set_exception(RuntimeError(self.faults[-1]))
