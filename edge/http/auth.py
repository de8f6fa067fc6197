"""Who may pass: bearer tokens. Rule: a route with a gate runs only for an identity that the gate has returned."""

from collections.abc import Callable, Mapping

from domain.errors import NotYourHome, Unauthorized, Unavailable
from edge.contracts.servers import Home, Verifier
from servers.security.identity import Identity
from servers.security.tokens import MAX_TOKEN_CHARS

Gate = Callable[[Mapping[str, str]], Identity]


def bearer_gate(verifier: Verifier) -> Gate:
    """Lets in whoever has a valid token of this installation. Raises `Unauthorized`."""
    verify = verifier.verify

    def gate(headers: Mapping[str, str]) -> Identity:
        return verify(_token(headers.get("Authorization", "")))

    return gate


def home_gate(verifier: Verifier, home: Home) -> Gate:
    """Lets in the users of this home only, while it is open. Raises `Unavailable`, `Unauthorized`, `NotYourHome` (which names the
    right one)."""
    verify, closed, name = verifier.verify, home.closed, home.name

    def gate(headers: Mapping[str, str]) -> Identity:
        if (why := closed()) is not None:
            raise Unavailable(why)
        who = verify(_token(headers.get("Authorization", "")))
        if who.home != name:
            raise NotYourHome(home={"name": who.home, "url": who.home_url})
        return who

    return gate


def _token(said: str) -> str:
    scheme, token = said[:7], said[7:]
    if scheme != "Bearer " and scheme.lower() != "bearer ":
        raise Unauthorized
    if not token.isascii() or len(token) > MAX_TOKEN_CHARS:
        raise Unauthorized
    return token
