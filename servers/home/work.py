"""What a call costs, in units of a limit. Rule: a limit counts the work behind a call, and the work is known before it is done.

One unit is about 0.15 ms: a call that changes something, or 50 entries of a list that are read or told.
"""

from projections.server.contacters import ContacterIndex

LARGE = 10  # units: the state of somebody with 500 contacts and contacters takes 3 ms to load
PER_UNIT = 50  # a contact in a list costs 3 µs, and so does a contacter who is told


def reading(index: ContacterIndex, uid: int) -> int:
    """What it costs to make the user's contact list."""
    return 1 + index.contacts.get(uid, 0) // PER_UNIT


def telling(index: ContacterIndex, uid: int) -> int:
    """What it costs to tell everybody who watches the user."""
    return 1 + len(index.contacters.get(uid, ())) // PER_UNIT


def is_large(index: ContacterIndex, uid: int) -> bool:
    """Whether the user's state takes so long to load that no commit should wait for it."""
    return reading(index, uid) + telling(index, uid) > LARGE
