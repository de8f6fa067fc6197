"""The shape of a route, and how its request is read. Rule: a route says everything about itself."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from domain.errors import FlashError, Invalid, Malformed, Unauthorized
from edge.http.messages import Answer, Call
from servers.security.identity import Identity

Refuse = Callable[[Exception, str, str], tuple[Answer, str]]  # what went wrong, the route's name, the target -> the answer, its code
Handler = Callable[[Call], Awaitable[Answer]]
Gate = Callable[[Mapping[str, str]], Identity]  # who calls, by the headers; refuses whoever may not

# "- at `$.resume.seq`" or "field `to`" at the end of what msgspec says.
_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(?P<at>[^`]*)`$|field `(?P<field>.*)`$", re.DOTALL)
MAX_FIELDS = 50  # of a query or a form: ours have at most 12, and the parser takes 40 ms for as many as a body could hold
MAX_ECHO_CHARS = 80  # of a field name that the client made up


@dataclass(eq=False)
class Route:
    """One call: how it is addressed, who may call it, what it takes and answers, and who handles it.

    `path` may hold `{name}` for one segment. `success`: what comes back, by status: a type, None for no body, or the media types of a
    stream. `body`, `query`: request types. `refusals`: beyond those that every route has, and beyond the gate's `Unauthorized`. A route is
    `synchronous` when its handler is no coroutine function but returns a `Deferred`: those are called for every popup and need no task.
    One that `waits` answers when something happens, so its time says nothing of its work.
    A `page` is for people in a browser: it takes forms instead of JSON, refuses in its own way, and is no part of the described interface.
    """

    method: str
    path: str
    handle: Handler
    success: Mapping[int, Any]
    body: type[msgspec.Struct] | None = None
    refusals: Sequence[type[FlashError]] = ()
    _: KW_ONLY
    gate: Gate | None = None
    query: type[msgspec.Struct] | None = None
    any_query: bool = False
    page: Refuse | None = None
    waits: bool = False

    def __post_init__(self) -> None:
        self.name = f"{self.method} {self.path}"  # as in the protocol's tables
        self.refusals = (*self.refusals, *((Unauthorized,) if self.gate else ()))
        self.synchronous = not iscoroutinefunction(self.handle)
        self.decode_body: Callable[[bytes], Any] = msgspec.json.Decoder(self.body).decode if self.body is not None else _no_body

    @property
    def endless(self) -> bool:
        """Whether the answer is a stream, which has no length that a HEAD request could be told."""
        return any(isinstance(kind, tuple) and "text/event-stream" in kind for kind in self.success.values())

    @property
    def summary(self) -> str:
        """What the call does: the handler's docstring up to its first empty line."""
        return " ".join((self.handle.__doc__ or "").partition("\n\n")[0].split())

    @property
    def body_optional(self) -> bool:
        """Whether no body means `{}`: no field of the body is required."""
        return self.body is not None and not any(field.required for field in msgspec.structs.fields(self.body))

    def read_body(self, raw: bytes) -> Any:
        """The typed body. Raises `Malformed`, `Invalid`, `TooLarge`."""
        if self.page is not None and self.body is not None:
            return _read_fields(raw.decode("ascii", "replace"), self.body)
        if not raw and self.body_optional:
            raw = b"{}"
        try:
            return self.decode_body(raw)
        except msgspec.ValidationError as error:
            return _read_whole_floats(raw, self.body, error)
        except UnicodeDecodeError:
            raise Malformed("The body is not UTF-8.") from None
        except msgspec.DecodeError as error:
            raise Malformed(f"The body is not JSON: {error}.") from None
        except RecursionError:
            raise Malformed("The body is nested too deeply.") from None

    def read_query(self, raw: str) -> Any:
        """The typed query. Each field at most once. Raises `Invalid`."""
        if self.any_query or (not raw and self.query is None):
            return None
        return _read_fields(raw, self.query)


def _no_body(raw: bytes) -> None:
    if raw:
        raise Invalid("body", "no body")


def _read_whole_floats(raw: bytes, kind: Any, error: msgspec.ValidationError) -> Any:
    """The typed body after `error`. JSON Schema calls `1.0` an integer, and msgspec refuses it where it wants one, so the body is read
    again with such numbers as integers. Raises `Invalid` when that was not all."""
    said = str(error)
    if said.startswith("Expected `int") and "got `float`" in said:  # only then, because nothing else is worth a second reading
        try:
            return msgspec.convert(_decode(raw), kind)
        except msgspec.ValidationError as other:
            said = str(other)
        except RecursionError:
            pass  # what is nested too deeply stands where no request has anything, so the first complaint is true as well
    raise _invalid(said, "body") from None


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value


_decode = msgspec.json.Decoder(float_hook=_number).decode


def _read_fields(raw: str, kind: type[msgspec.Struct] | None) -> Any:
    """A query, or the body of a form. Raises `Invalid`."""
    fields: dict[str, str] = {}
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS) if raw else []
    except ValueError:  # UnicodeDecodeError is one too
        raise Invalid("query", "name=value pairs, percent-encoded UTF-8") from None
    for name, value in pairs:
        if name in fields:
            raise Invalid(name[:MAX_ECHO_CHARS], "one value, not several")
        fields[name] = value
    if kind is None:
        raise Invalid(next(iter(fields))[:MAX_ECHO_CHARS], "no such field")
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), "query") from None


def _invalid(message: str, whole: str) -> Invalid:
    """What msgspec says, as a field and what was expected there. It never quotes values."""
    place = _PLACE.search(message)
    said = message[: place.start()].strip() if place else message
    if message.startswith("Object missing"):
        expected = "a value: the field is required"
    elif message.startswith("Object contains unknown"):
        expected = "no such field"
    elif message.startswith("Invalid enum value"):
        expected = "another value: this one is unknown"
    elif message.startswith("Number out of range"):
        expected = "a smaller number"
    else:
        expected = said.removeprefix("Expected ").replace("`", "")
    field = (place["at"] or place["field"] or whole) if place else whole
    return Invalid(field[:MAX_ECHO_CHARS], expected)
