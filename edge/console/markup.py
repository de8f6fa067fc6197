"""HTML and SVG from plain values. Rule: everything that is not `Html` is escaped, and only `tag` makes `Html` of what people wrote."""

from collections.abc import Iterable
from html import escape
from typing import Any


class Html(str):
    """Markup that may stand in a page as it is. `tag` makes it; code makes it by hand of literals only."""

    __slots__ = ()


NONE = Html("")
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})  # elements without an end tag


def text(*children: Any) -> Html:
    """The children one after the other: `Html` is kept as it is, lists are flattened, None is left out, everything else is escaped."""
    return Html("".join(_pieces(children)))


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """An element. Attributes: `class_` is `class`, `aria_label` is `aria-label`. True gives an attribute without a
    value; None and False are left out."""
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False)
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{text(*children)}</{name}>")


def _attribute(key: str, value: Any) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def _pieces(children: Iterable[Any]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            yield child
        elif isinstance(child, list | tuple):
            yield from _pieces(child)
        else:
            yield escape(str(child))
