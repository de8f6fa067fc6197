"""Both framings: any split of a valid stream gives the same parts, and any junk gives parts or a `ProtocolError`."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_sdk.errors import ProtocolError
from flash_sdk.multipart import MultipartParser, boundary_of
from flash_sdk.parts import MAX_HEADER_BYTES, Parser, Part
from flash_sdk.sse import SseParser
from tests.clients.sdk.peer import framed

NAMES = st.sampled_from(["welcome", "message", "presence", "blank", "goodbye", "unheard-of"])
BODIES = st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers() | st.just("\r\n--flash--\r\n"), max_size=4)
PARTS = st.lists(st.tuples(NAMES, BODIES), max_size=6)
CUTS = st.lists(st.integers(0, 2000), max_size=30)


def multipart(parts: list[tuple[str, dict[str, Any]]]) -> bytes:
    return b"--flash\r\n" + b"".join(framed(name, body) for name, body in parts)


def sse(parts: list[tuple[str, dict[str, Any]]]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps(body).encode()) for name, body in parts)


def feed_split(parser: Parser, stream: bytes, cuts: list[int]) -> list[Part]:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    return [part for a, b in pairwise(places) for part in parser.feed(stream[a:b])]


@given(PARTS, CUTS)
def test_a_multipart_stream_gives_the_same_parts_however_it_is_split(parts: list[tuple[str, dict[str, Any]]], cuts: list[int]) -> None:
    assert feed_split(MultipartParser("flash"), multipart(parts), cuts) == [Part(*part) for part in parts]


@given(PARTS, CUTS)
def test_an_event_stream_gives_the_same_parts_however_it_is_split(parts: list[tuple[str, dict[str, Any]]], cuts: list[int]) -> None:
    assert feed_split(SseParser(), sse(parts), cuts) == [Part(*part) for part in parts]


def test_byte_by_byte() -> None:
    parts: list[tuple[str, dict[str, Any]]] = [("message", {"text": "--flash"}), ("blank", {})]
    stream = multipart(parts)
    assert feed_split(MultipartParser("flash"), stream, list(range(len(stream)))) == [Part(*part) for part in parts]


MULTIPART_BITS = [b"--flash\r\n", b"--flash--", b"Flash-Part: blank\r\n", *(b"Content-Length: %s\r\n" % n for n in (b"2", b"-1", b"5000"))]
SSE_BITS = [b"data: {}\n", b"event: x\n", b":\n", b"\n", b"\r", b"\r\n"]
JSON_BITS = [b"{}", b"[" * 3000, b"1" * 5000, b"NaN", b"\xff", b"\x00"]
PIECES = st.sampled_from([*MULTIPART_BITS, *SSE_BITS, *JSON_BITS])
JUNK = st.lists(PIECES | st.binary(max_size=30), max_size=20)


@given(st.sampled_from([lambda: MultipartParser("flash", max_part_bytes=6000), lambda: SseParser(max_part_bytes=6000)]), JUNK)
def test_junk_gives_parts_or_a_protocol_error(make: Any, junk: list[bytes]) -> None:
    parser = make()
    try:
        for piece in junk:
            assert all(isinstance(part.body, dict) for part in parser.feed(piece))
    except ProtocolError:
        pass


@given(st.binary(min_size=1, max_size=40))
def test_the_buffer_never_outgrows_a_part(piece: bytes) -> None:
    parser = MultipartParser("flash", max_part_bytes=1000, max_header_bytes=500)
    try:
        for _ in range(200):
            parser.feed(piece)
            assert parser.buffered_bytes <= 1500
    except ProtocolError:
        pass


@pytest.mark.parametrize("parser", [MultipartParser("flash"), SseParser()], ids=["multipart", "sse"])
def test_a_megabyte_of_empty_lines_is_read_in_no_time(parser: Parser) -> None:
    assert parser.feed(b"\n" * 1_000_000) == []


@pytest.mark.parametrize(
    "stream",
    [
        b"<html>log in to the hotel's network</html>\r\n",
        b"--flash\r\n\r\n",
        b"--flash\r\nFlash-Part: blank\r\n\r\n{}",
        b"--flash\r\nFlash-Part: blank\r\nContent-Length: 12a\r\n\r\n",
        b"--flash\r\nFlash-Part: blank\r\nContent-Length: 99999999\r\n\r\n",
        b"--flash\r\nFlash-Part: blank\r\nContent-Length: 2\r\n\r\n[]",
        b"--flash\r\nFlash-Part: blank\r\nContent-Length: 2\r\n\r\n{}more",
        b"--flash\r\nno colon here\r\n",
        b"--flash\r\n" + b"X: y\r\n" * MAX_HEADER_BYTES,
        b"x" * (MAX_HEADER_BYTES + 1),
    ],
)
def test_what_is_not_a_part_is_named_as_a_protocol_error(stream: bytes) -> None:
    parser = MultipartParser("flash")
    with pytest.raises(ProtocolError):
        parser.feed(stream + b"\r\n")


def test_the_closing_boundary_ends_the_stream_even_without_a_line_end() -> None:
    parser = MultipartParser("flash")
    assert parser.feed(multipart([("goodbye", {})]).removesuffix(b"\r\n") + b"--") == [Part("goodbye", {})]
    assert parser.ended


def test_a_proxy_may_rewrite_line_ends() -> None:
    assert MultipartParser("flash").feed(b"--flash\nflash-part: blank\ncontent-length: 2\n\n{}\n--flash\n") == [Part("blank", {})]


def test_sse_comments_are_blanks_and_every_line_end_is_one() -> None:
    assert SseParser().feed(b"\xef\xbb\xbf: hello\r\nevent:done\rdata: {\rdata: }\r\n\r\n") == [Part("blank", {}), Part("done", {})]


@pytest.mark.parametrize("header", ["multipart/x-mixed-replace; boundary=flash", 'Multipart/x-mixed-replace;charset=x; Boundary="flash"'])
def test_the_boundary_is_found(header: str) -> None:
    assert boundary_of(header) == "flash"


@pytest.mark.parametrize("header", ["text/html", "multipart/x-mixed-replace", ""])
def test_an_answer_without_boundary_is_refused(header: str) -> None:
    with pytest.raises(ProtocolError):
        boundary_of(header)
