"""What counts as a word, and as the same word. Rule: stored texts and searches go through the same function."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")  # letters and digits: `ann@example.com` is three words, so is `bob.jones-7`

# Letters that people type without their stroke, and that Unicode does not take apart.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})


def words(text: str) -> list[str]:
    """The words of `text`, in order, without case and accents: `"José Müller-Łuk"` gives `["jose", "muller", "luk"]`."""
    if text.isascii():
        return _WORD.findall(text.lower())
    apart = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in apart if unicodedata.category(char)[0] != "M")
    return _WORD.findall(bare.casefold().translate(_PLAIN))
