"""Which rules a server has. Rule: the Global Server has its own, every other server is a home."""

from domain.registry.registered_home import GLOBAL
from domain.rules import global_server, home
from domain.rules.rules import Rules


def rules_of(server: str) -> Rules:
    """The rules of `global`, or of the home with this name."""
    return global_server.RULES if server == GLOBAL else home.rules_for(server)
