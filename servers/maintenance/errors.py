"""Why a maintenance command did nothing. Rule: after one of these errors the target holds nothing new but, at most, keys that it needs.

Rejected
├── NotBackedUp   the backup's target exists already
├── NotRestored   the target is in use or not empty, or something is missing and nobody said to go on without it
├── NotCopied     a server is at work, the target is not empty, or the copy differs from the original
└── NotCorrected  a server is at work, or there is no clock to be accepted
"""

from domain.errors import Rejected


class NotBackedUp(Rejected):
    """The backup's target exists already."""


class NotRestored(Rejected):
    """Nothing was restored."""


class NotCopied(Rejected):
    """Nothing was copied."""


class NotCorrected(Rejected):
    """Nothing was accepted."""
