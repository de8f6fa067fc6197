"""Which user of RabbitMQ speaks for which server. Rule: mail, history, feed, answers and heartbeats are judged by this one rule.

RabbitMQ lets nobody publish under another user's name, and keeps the name with each message. So a server speaks for itself alone as long as
it has a user of its own. A user that several servers share is believed by those who share it, and proves nothing to them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from domain.registry.registered_home import GLOBAL

EVERY_SERVER = "*"  # in a map of users: the user that may speak for any server
SINGLE_PROCESS = ""  # the publisher of what never left this process; there is nobody else who could have said it


class Publishers:
    """The rule as `server` applies it, which connects as `user`. `users` names the user of each server whose user has another name than
    the server. `received` counts the bytes that came from each user, `not_believed` the messages that claimed to be of somebody else; what
    nobody signed is counted under the empty name."""

    def __init__(self, server: str, user: str, users: Mapping[str, str] = MappingProxyType({})) -> None:
        self._users = users
        self._shared = {users[EVERY_SERVER]} if EVERY_SERVER in users else set()
        if user not in (self.user_of(server), self.user_of(GLOBAL)):
            self._shared.add(user)  # somebody else's name: then we share it, and so may others
        self.received: dict[str, int] = {}
        self.not_believed: dict[str, int] = {}

    def user_of(self, server: str) -> str:
        """The user as which a server connects."""
        return self._users.get(server, server)

    def speak_for(self, publisher: str | None, server: str) -> bool:
        """Whether what `publisher` published may be of `server`. Nobody (None) speaks for none."""
        if publisher is not None and (
            publisher == self._users.get(server, server) or publisher in self._shared or publisher == SINGLE_PROCESS
        ):
            return True
        self.not_believed[publisher or ""] = self.not_believed.get(publisher or "", 0) + 1
        return False

    def count(self, publisher: str | None, size: int) -> None:
        """Note that a message came. About 0.2 µs."""
        name = publisher or ""
        self.received[name] = self.received.get(name, 0) + size
