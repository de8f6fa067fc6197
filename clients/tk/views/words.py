"""Moments, names and states in words. Rule: pure functions from values to text for people."""

import re
from datetime import datetime

from clients.tk.model.values import MAX_TEXT_CHARACTERS, ContactRow, SentState
from clients.tk.views.theme import WORDS

LINK = re.compile(r"\b(?:https?://|mailto:)[^\s<>\"]+", re.IGNORECASE)
TRAILING = ".,;:!?)]}'’"  # these characters belong to the sentence, not to the link
WEEK_DAYS = 7
NEAR_LIMIT = 200  # from here on the count says how many characters are left

STATES = {
    SentState.SAVING: "saving…",
    SentState.WAITING: "waiting for connection",
    SentState.ACCEPTED: "accepted",
    SentState.BOUNCED: "bounced",
    SentState.DELIVERED: "delivered",
    SentState.DONE: "done",
}
MARKS = {
    SentState.SAVING: "…",
    SentState.WAITING: "◷",
    SentState.ACCEPTED: "✓",
    SentState.BOUNCED: "✕",
    SentState.DELIVERED: "✓✓",
    SentState.DONE: "✓✓",
}


def clock(moment: datetime, now: datetime) -> str:
    """A moment, as short as it can be said clearly: `14:03`, `Mon 14:03`, `3 Feb 14:03`, `3 Feb 2024`."""
    local, today = moment.astimezone(), now.astimezone().date()
    days = (today - local.date()).days
    if days == 0:
        return f"{local:%H:%M}"
    if 0 < days < WEEK_DAYS:
        return f"{local:%a %H:%M}"
    if local.year == today.year:
        return f"{local.day} {local:%b %H:%M}"
    return f"{local.day} {local:%b %Y}"


def presence(row: ContactRow, now: datetime) -> str:
    """The second line of a contact: `away since 14:03 · at lunch`."""
    said = WORDS.get(row.status, row.status)
    if row.since is not None and row.status != "unknown":
        said += f" since {clock(row.since, now)}"
    if row.note:
        said += f" · {one_line(row.note)}"
    return said


def initials(title: str) -> str:
    """One or two letters for the disc that stands for a person."""
    words = [word for word in re.split(r"[\s._-]+", title) if word]
    if not words:
        return "?"
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


def one_line(text: str, limit: int = 160) -> str:
    """The text on one line, cut when it is long."""
    joined = " ".join(text[: limit * 4].split())
    return joined if len(joined) <= limit else joined[: limit - 1] + "…"


def count(text: str) -> tuple[str, bool]:
    """The text under a field (characters used, left or too many), and whether the message may be sent."""
    characters = len(text)
    if characters > MAX_TEXT_CHARACTERS:
        return f"{characters - MAX_TEXT_CHARACTERS} characters too many", False
    left = MAX_TEXT_CHARACTERS - characters
    return (f"{left} left" if left <= NEAR_LIMIT else f"{characters} / {MAX_TEXT_CHARACTERS}"), bool(text.strip())


def links(text: str) -> list[tuple[int, int, str]]:
    """The links in a text, as (start, end, address)."""
    found = []
    for match in LINK.finditer(text):
        address = match.group().rstrip(TRAILING)
        if "(" in address and match.group()[len(address) :].startswith(")"):
            address += ")"  # the address has brackets of its own
        found.append((match.start(), match.start() + len(address), address))
    return found
