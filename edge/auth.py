"""Who may pass: bearer tokens. Rule: a route with a gate runs only for an identity that the gate has returned."""

from collections.abc import Callable, Mapping

from domain.errors import NotYourHome, Unauthorized
from edge.ports import Verifier
from servers.identity import Identity

Gate = Callable[[Mapping[str, str]], Identity]

MAX_TOKEN_CHARS = 4_096  # ours have some 400; a longer one is not worth a signature check


def bearer_gate(verifier: Verifier) -> Gate:
    """Lets in whoever has a valid token of this installation. Raises `Unauthorized`."""
    verify = verifier.verify

    def gate(headers: Mapping[str, str]) -> Identity:
        authorization = headers.get("Authorization", "")
        scheme, token = authorization[:7], authorization[7:]
        if scheme != "Bearer " and scheme.lower() != "bearer ":
            raise Unauthorized
        if not token.isascii() or len(token) > MAX_TOKEN_CHARS:
            raise Unauthorized
        return verify(token)

    return gate


def home_gate(verifier: Verifier, home: str) -> Gate:
    """Lets in the users of this home only. Raises `Unauthorized`, `NotYourHome` (which names the right one)."""
    bearer = bearer_gate(verifier)

    def gate(headers: Mapping[str, str]) -> Identity:
        who = bearer(headers)
        if who.home != home:
            raise NotYourHome(home={"name": who.home, "url": who.home_url})
        return who

    return gate
