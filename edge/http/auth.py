"""Bearer tokens decide who may call a route. Rule: a route with a gate runs only for an identity that the gate has returned."""

from collections.abc import Callable, Mapping

from domain.errors import NotYourHome, Unauthorized, Unavailable
from edge.contracts.servers import Home, Verifier
from servers.security.identity import Identity

Gate = Callable[[Mapping[str, str]], Identity]


def bearer_gate(verifier: Verifier) -> Gate:
    """Lets in everybody who has a valid token of this installation. Raises `Unauthorized`."""
    return _gate(verifier, lambda: None, None)


def home_gate(verifier: Verifier, home: Home) -> Gate:
    """Lets in the users of this home only, while it is open. Raises `Unavailable`, `Unauthorized`, `NotYourHome` (which names the
    right one)."""
    return _gate(verifier, home.closed, home.name)


def _gate(verifier: Verifier, closed: Callable[[], str | None], home: str | None) -> Gate:
    verify = verifier.verify

    def gate(headers: Mapping[str, str]) -> Identity:
        if (why := closed()) is not None:
            raise Unavailable(why)
        said = headers.get("Authorization", "")
        if said[:7].lower() != "bearer " or not said.isascii():
            raise Unauthorized
        who = verify(said[7:])
        if home is not None and who.home != home:
            raise NotYourHome(home={"name": who.home, "url": who.home_url})
        return who

    return gate
