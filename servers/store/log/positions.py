"""Names of stored positions: how far a server has consumed others' events, and published its own. Rule: an inbox position only rises.

A position without a prefix is an inbox position, named after its source; no server's name begins with "@".
"""

from eventsourcing.persistence import Tracking

RELAY = "@relay"  # prefix of the outbox's own positions: how far it has published
MAILED = "@mail"  # prefix of the position of the last mail that was addressed to a server; the server's name follows
TAKEN = "@taken"  # prefix of the position up to which the broker has taken the mail for a server that was behind; its name follows
BLOCKS = "@blocks"  # prefix of the rows that say in which blocks of the log a server has mail; server and group follow
PROBE = f"{RELAY}-probe"  # is stored to find out whether anything can be stored; it says nothing
SETTLED = "@settled"  # prefix of the position up to which our mail is committed at a server, or has bounced; the server's name follows
SKIPPED_NOTES = "@aside"  # prefix of the notes about single events that an inbox skipped; source and position follow
LIBRARYS_OWN = "__migration__"  # a row of the tracking table that belongs to the eventsourcing library

SKIPPED, APPLIED_LATER = 1, 2  # rising, so that no event is applied for the second time


def note_of(source: str, position: int, what: int) -> Tracking:
    """The note that an event of another server was `SKIPPED`, or `APPLIED_LATER` after all."""
    return Tracking(f"{notes_of(source)}{position}", what)


def notes_of(source: str) -> str:
    """How the names of the notes about events of `source` begin; the position follows."""
    return f"{SKIPPED_NOTES} {source} "


def mailed(server: str) -> str:
    """Under which name the outbox stores the position of the last mail that it addressed to `server`."""
    return f"{MAILED} {server}"


def taken(server: str) -> str:
    """Under which name it is stored how far the broker has taken the mail for a server that was behind."""
    return f"{TAKEN} {server}"


def settled(server: str) -> str:
    """Under which name it is stored up to where our mail for `server` is committed there, or has bounced."""
    return f"{SETTLED} {server}"


def is_outbox(name: str) -> bool:
    """Whether a position says how far the outbox has published. When it does not rise, another process on this store has published
    further; that does no harm, because the outbox may repeat. An inbox position that does not rise is a conflict: another process has
    consumed the event."""
    return name.startswith((RELAY, MAILED, SETTLED, TAKEN, BLOCKS))
