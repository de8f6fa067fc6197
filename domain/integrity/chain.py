"""How a log is sealed: what is hashed, in which bytes. Rule: pure and never changed, because this module checks every seal ever written.

    fingerprint   SHA-256 of one stored event: stream, version, topic, data, each with its length before it
    digest        SHA-256 of the digest before it, the positions, and the fingerprints of the events that a seal covers, in order
    statement     what the server signs: its name, the log's life, and every field of the seal
    mark          the first 6 bytes of a fingerprint, as 8 characters: marks find a changed event, the digest proves that there is one

A seal covers every position from `first` to `last`; those in `gaps` hold no event (a database leaves numbers out when it rolls back).
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from struct import pack

MARK_BYTES = 6  # 8 characters of base64 without padding; two events of one log share a mark once in 10^14
MARK_CHARS = 8
MAX_COVERED = 10_000_000  # positions under one seal; a seal that claims more is not ours, and must not cost memory


@dataclass(frozen=True, slots=True)
class Seal:
    """A server's statement about `count` events. `gaps`: [[from, to], …] without events; `previous`: the digest of the seal before."""

    first: int
    last: int
    count: int
    gaps: list[list[int]]
    previous: str
    digest: str
    marks: str

    def positions(self) -> list[int]:
        """The positions that held an event. Raises `ValueError` when the seal contradicts itself."""
        if not 0 < self.first <= self.last < self.first + MAX_COVERED or len(self.marks) != MARK_CHARS * self.count:
            raise ValueError("not a seal")
        empty = {number for start, end in self.gaps if end - start < MAX_COVERED for number in range(start, end + 1)}
        found = [number for number in range(self.first, self.last + 1) if number not in empty]
        if len(found) != self.count:
            raise ValueError("not a seal")
        return found


def fingerprint(stream: str, version: int, topic: str, data: bytes) -> bytes:
    """32 bytes that stand for one stored event. About 1 µs."""
    return sha256(f"{len(stream)}:{stream}{version}:{len(topic)}:{topic}{len(data)}:".encode() + data).digest()


def before_all(server: str) -> str:
    """The `previous` of a server's first seal."""
    return sha256(f"flash log of {server}".encode()).hexdigest()


def digest(previous: str, first: int, last: int, positions: Sequence[int], fingerprints: Sequence[bytes]) -> str:
    """64 hexadecimal digits. About 0.1 µs an event."""
    chain = sha256(f"flash seal 1:{len(previous)}:{previous}{first}:{last}:{len(positions)}:".encode())
    chain.update(pack(f">{len(positions)}q", *positions))
    chain.update(b"".join(fingerprints))
    return chain.hexdigest()


def statement(server: str, life: int, seal: Seal) -> bytes:
    """The bytes that a server signs of its seal."""
    fields = (server, life, seal.first, seal.last, seal.count, seal.gaps, seal.previous, seal.digest, seal.marks)
    return "".join(f"{len(str(field))}:{field}" for field in fields).encode()


def marks(fingerprints: Sequence[bytes]) -> str:
    """The marks of several events, one after the other."""
    return base64.b64encode(b"".join([each[:MARK_BYTES] for each in fingerprints])).decode()


def mark(fingerprint: bytes) -> str:
    """The mark of one event."""
    return base64.b64encode(fingerprint[:MARK_BYTES]).decode()


def seal(previous: str, first: int, positions: Sequence[int], fingerprints: Sequence[bytes]) -> Seal:
    """The seal over the events at `positions`; it ends with the last of them. `first`: the position after the seal before."""
    last = positions[-1]
    gaps: list[list[int]] = []
    if len(positions) <= last - first:
        expected = first
        for position in positions:
            if position > expected:
                gaps.append([expected, position - 1])
            expected = position + 1
    chained = digest(previous, first, last, positions, fingerprints)
    return Seal(first, last, len(positions), gaps, previous, chained, marks(fingerprints))
