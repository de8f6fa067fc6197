"""A program that is not installed here. Rule: the text says how to get it."""


class Missing(RuntimeError):
    """A needed program is not installed."""
