"""Printing to the terminal. Rule: text that came over the network is printed through `clean` only."""

import unicodedata
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

# These joiners are invisible, but Persian, Indic scripts and emoji need them.
_HARMLESS_FORMATS = frozenset("\u200c\u200d")
# Control and format characters (with the bidi overrides), surrogates, private use, line and paragraph separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})

Piece = str | tuple[str, str]  # text, or text and its style


def clean(text: str) -> str:
    """The text on one line. Characters that could move the cursor or restyle, reorder or hide text become escapes (`\\x1b`)."""
    return "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    if char in _HARMLESS_FORMATS or unicodedata.category(char) not in _UNSAFE:
        return char
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def _line(pieces: Sequence[Piece]) -> Text:
    return Text.assemble(*(clean(piece) if isinstance(piece, str) else (clean(piece[0]), piece[1]) for piece in pieces))


def say(*pieces: Piece) -> None:
    """Print one line, with colours on a terminal only. It is never wrapped, so that `grep` finds one line."""
    Console(highlight=False, markup=False, emoji=False).print(_line(pieces), soft_wrap=True)


def complain(*pieces: Piece) -> None:
    """Print one line to standard error."""
    Console(stderr=True, highlight=False, markup=False, emoji=False).print(_line(("flash: ", *pieces)), soft_wrap=True)
