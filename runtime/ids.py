"""Where ids come from. Rule: nobody can guess one; tests put their own source in this one's place."""

import secrets


def new_id() -> str:
    """128 random bits as text."""
    return secrets.token_urlsafe(16)
