"""What a call costs, in units of a limit. Rule: a limit counts the work behind a call, and the work is known before it is done.

One unit is about 0.15 ms: a call that changes something, or 50 entries of a list that are read or told.
"""

from projections.server.contacters import ContacterIndex

PER_UNIT = 50  # a contact in a list costs 3 µs, and so does a contacter who is told


def reading(index: ContacterIndex, uid: int) -> int:
    """What it costs to make the user's contact list."""
    return 1 + index.contacts.get(uid, 0) // PER_UNIT


def telling(index: ContacterIndex, uid: int) -> int:
    """What it costs to tell everybody who watches the user."""
    return 1 + len(index.contacters.get(uid, ())) // PER_UNIT
