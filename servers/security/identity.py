"""Who is asking: what a verified token says. Rule: nothing here is trusted before `Verifier` has checked the signature."""

from dataclasses import dataclass

OPS = "ops"  # the role of those who may look at everything, and close accounts
INTEGRATOR = "integrator"  # the role of those who may read the presence that they were granted
NO_ROLES: frozenset[str] = frozenset()  # one for all users: the interpreter makes a new one, of 216 bytes, each time


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
