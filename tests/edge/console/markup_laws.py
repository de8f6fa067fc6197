"""What must hold of every page's markup, whatever is on it. Rule: each law has a name, and a page breaks none.

A validator for HTML would be better, but it needs Java; these are the laws that its one run over every page found broken, and their kin.
"""

import re
from collections import Counter
from html.parser import HTMLParser

VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
WITH_LENGTH = frozenset({"text", "search", "url", "tel", "email", "password"})  # types of `input` that `maxlength` belongs to
LANDMARKS = frozenset({"search", "region", "navigation", "form"})  # two of one kind on a page are told apart by their names
TIME = re.compile(r"\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")
HAVE_TEXT = frozenset({"th", "button", "a", "label", "option", "caption", "title", "h1", "h2", "summary"})


class Page(HTMLParser):
    """A page, read once. `broken`: each law that it breaks, and where."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.broken: list[str] = []
        self._open: list[tuple[str, dict[str, str | None], str]] = []
        self._ids: Counter[str] = Counter()
        self._landmarks: Counter[tuple[str, str | None]] = Counter()
        self._targets: set[str] = set()
        self.feed(html)
        self.close()
        self._law(not self._open, f"never closed: {[name for name, _, _ in self._open]}")
        self._law(all(count == 1 for count in self._ids.values()), f"an id twice: {self._ids}")
        self._law(self._targets <= set(self._ids), f"no such id: {self._targets - set(self._ids)}")
        self._law(all(count == 1 for count in self._landmarks.values()), f"landmarks of one name: {self._landmarks}")

    def _law(self, kept: bool, broken: str) -> None:
        if not kept:
            self.broken.append(broken)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Check the element's attributes."""
        given = dict(attrs)
        self._law(len(given) == len(attrs), f"an attribute twice: {tag} {attrs}")
        if "id" in given:
            self._ids[str(given["id"])] += 1
        if "for" in given:
            self._targets.add(str(given["for"]))
        role = "navigation" if tag == "nav" else given.get("role")
        if role in LANDMARKS:
            self._landmarks[role, given.get("aria-label")] += 1
        if tag == "time" and "datetime" in given:
            self._law(TIME.fullmatch(given["datetime"] or "") is not None, f"no time: {given}")
        if tag == "input":
            kind = given.get("type") or "text"
            self._law("maxlength" not in given or kind in WITH_LENGTH, f"maxlength on {kind}")
            named = kind == "hidden" or "aria-label" in given or any(name == "label" for name, _, _ in self._open)
            self._law(named, f"a control without a label: {given}")
        if tag == "img":
            self._law("alt" in given, f"a picture without words: {given}")
        if tag not in VOID:
            self._open.append((tag, given, ""))

    def handle_data(self, data: str) -> None:
        """Text belongs to every element that is open."""
        self._open = [(name, given, text + data) for name, given, text in self._open]

    def handle_endtag(self, tag: str) -> None:
        """Check what stood in the element."""
        if not self._open or self._open[-1][0] != tag:
            self.broken.append(f"</{tag}> closes {self._open[-1][0] if self._open else 'nothing'}")
            return
        name, given, text = self._open.pop()
        self._law(name not in HAVE_TEXT or bool(text.strip()) or "aria-label" in given, f"an empty {name}: {given}")
