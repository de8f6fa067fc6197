"""The identity that a verified token proves. Rule: an `Identity` is made only after the token's signature was checked."""

from dataclasses import dataclass

OPS = "ops"  # the role of users who may read the whole history and close accounts
INTEGRATOR = "integrator"  # the role of programs that may read the presence that they were granted
NO_ROLES: frozenset[str] = frozenset()  # shared by all users, because the interpreter makes a new one of 216 bytes each time


@dataclass(frozen=True, slots=True)
class Identity:
    """The claims of a verified token. `expires_at`: seconds since 1970. `roles`: e.g. `{"ops"}`, empty for users."""

    uid: int
    handle: str
    name: str
    home: str
    home_url: str
    expires_at: float
    roles: frozenset[str] = NO_ROLES
