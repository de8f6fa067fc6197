"""Small smooth pictures: discs, presence marks, the bolt. Rule: drawn once as PNG bytes, because Tk 8.6 draws circles with steps.

A shape is a function that says for each point (0..1, 0..1) whether it is covered. Edges are smoothed by sampling each pixel.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from math import hypot

Cover = Callable[[float, float], bool]  # whether a point of the unit square belongs to the shape

SAMPLES = 4  # per side: 17 shades of an edge are as smooth as the eye can see at these sizes
OFFSETS = tuple((index + 0.5) / SAMPLES for index in range(SAMPLES))
BOLT = ((0.58, 0.04), (0.16, 0.58), (0.46, 0.58), (0.38, 0.96), (0.84, 0.40), (0.53, 0.40))


def disc(x: float, y: float) -> bool:
    """A filled disc: online, and the background of initials."""
    return hypot(x - 0.5, y - 0.5) <= 0.48


def ring(x: float, y: float) -> bool:
    """A ring: offline."""
    return 0.30 <= hypot(x - 0.5, y - 0.5) <= 0.48


def moon(x: float, y: float) -> bool:
    """A crescent: away."""
    return disc(x, y) and hypot(x - 0.26, y - 0.30) > 0.40


def barred(x: float, y: float) -> bool:
    """A disc with a bar: do not disturb."""
    return disc(x, y) and not (abs(y - 0.5) < 0.09 and abs(x - 0.5) < 0.27)


def dotted(x: float, y: float) -> bool:
    """A ring with a dot: the presence is unknown."""
    return 0.36 <= hypot(x - 0.5, y - 0.5) <= 0.48 or hypot(x - 0.5, y - 0.5) <= 0.13


def bell(x: float, y: float) -> bool:
    """A bell: I am told when this contact comes online."""
    dome = hypot(x - 0.5, y - 0.36) <= 0.27 or (0.36 <= y <= 0.70 and abs(x - 0.5) <= 0.27)
    return dome or (0.66 <= y <= 0.78 and abs(x - 0.5) <= 0.40) or (y > 0.82 and hypot(x - 0.5, y - 0.82) <= 0.12)


def bolt(x: float, y: float) -> bool:
    """Flash's sign."""
    inside = False
    for (ax, ay), (bx, by) in zip(BOLT, (*BOLT[1:], BOLT[0]), strict=True):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            inside = not inside
    return inside


@cache
def pill(aspect: float) -> Cover:
    """A disc that is drawn out to `aspect` times its height: the background of numbers."""

    def covered(x: float, y: float) -> bool:
        along = x * aspect
        nearest = min(max(along, 0.5), aspect - 0.5)
        return hypot(along - nearest, y - 0.5) <= 0.5

    return covered


@cache
def rounded(aspect: float, radius: float) -> Cover:
    """A rectangle with round corners; `radius` as a share of its height."""

    def covered(x: float, y: float) -> bool:
        along = x * aspect
        dx = max(radius - along, along - (aspect - radius), 0.0)
        dy = max(radius - y, y - (1 - radius), 0.0)
        return hypot(dx, dy) <= radius

    return covered


@cache
def within(cover: Cover, edge: float) -> Cover:
    """The same shape, smaller by `edge` (a share of the side) all around."""

    def covered(x: float, y: float) -> bool:
        x, y = (x - edge) / (1 - 2 * edge), (y - edge) / (1 - 2 * edge)
        return 0 <= x <= 1 and 0 <= y <= 1 and cover(x, y)

    return covered


def picture(layers: Sequence[tuple[Cover, str]], width: int, height: int) -> bytes:
    """The PNG bytes of `layers` (shape and `#rrggbb`, the lowest first), transparent elsewhere. Sizes are in pixels."""
    (cover, colour), *above = layers
    size = width * height
    pixels = bytearray(4 * size)
    for channel, value in enumerate(_channels(colour)):
        pixels[channel::4] = bytes((value,)) * size
    pixels[3::4] = _mask(cover, width, height)
    for cover, colour in above:
        _lay_over(pixels, _mask(cover, width, height), _channels(colour))
    lines = b"".join(b"\0" + pixels[row * 4 * width : (row + 1) * 4 * width] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)  # 8 bits a channel, with alpha
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 1)) + _chunk(b"IEND", b"")


def _lay_over(pixels: bytearray, mask: bytes, colour: tuple[int, int, int]) -> None:
    for at, share in enumerate(mask):
        if share:
            over = share / 255
            under = pixels[4 * at + 3] / 255 * (1 - over)
            total = over + under
            for channel in range(3):
                pixels[4 * at + channel] = round((colour[channel] * over + pixels[4 * at + channel] * under) / total)
            pixels[4 * at + 3] = round(total * 255)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@cache
def _mask(cover: Cover, width: int, height: int) -> bytes:
    """How much of each pixel is covered, 0 to 255. It is kept, because one shape comes in many colours."""
    return bytes(round(255 * _share(cover, column, row, width, height)) for row in range(height) for column in range(width))


def _share(cover: Cover, column: int, row: int, width: int, height: int) -> float:
    """How much of a pixel is covered. If its corners agree, the rest of it does as well."""
    corners = sum(cover((column + dx) / width, (row + dy) / height) for dx in (OFFSETS[0], OFFSETS[-1]) for dy in (OFFSETS[0], OFFSETS[-1]))
    if corners in (0, 4):
        return corners / 4
    return sum(cover((column + dx) / width, (row + dy) / height) for dx in OFFSETS for dy in OFFSETS) / SAMPLES**2


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
