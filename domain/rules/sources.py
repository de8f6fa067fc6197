"""Which server may say what. Rule: every event has one server that may say it; what another one says is not believed.

| stream                                   | may be told by                                                                   |
|------------------------------------------|----------------------------------------------------------------------------------|
| `account-N`, `handle-X`, `home-X`,       | the Global Server                                                                |
| `audit-N`, `witness-X`                   |                                                                                  |
| `user-N`, `mailbox-N`                    | the home where N lives, as the Global Server's word says (`servers/trust/user_words.py`) |
| `log-S`, `restored-S`, `clock-S`,        | the server S                                                                     |
| `throttles-S`                            |                                                                                  |

The first word of a topic names its kind of stream; those of `ELSEWHERE` lie in another one.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from domain.event import Event, stream_kind
from domain.events import global_server as global_events
from domain.events import home as events
from domain.events.integrity import SealEvent
from domain.registry.registered_home import GLOBAL

OF_GLOBAL = frozenset(("account", "handle", "home", "audit", "witness"))
OF_THE_HOME = frozenset(("user", "mailbox"))
OF_THE_SERVER = frozenset(("log", "restored", "clock", "throttles"))
ELSEWHERE: Mapping[str, str] = {"log.restored": "restored", "log.clock_corrected": "clock"}


# Tuples, because a union is made anew each time: 1 µs.
WATCHING = (events.ContactAdded, events.ContactRemoved)
UNDER_A_HANDLE = (events.MessageSent, events.PresenceEvent)
# Of whom an event tells the home that it is for, where its fields name them: what `people` answers there, in a tenth of the time.
TELLS_OF: Mapping[type, Callable[[Any], tuple[int, int]]] = {events.MessageSent: attrgetter("uid", "to")}
# What an event claims, where its fields say all that `people` and `person_fault` look at; the first names the user whose word proves it.
# A word holds for ever, so the same claims of the same source are believed as long as the word is at hand.
CLAIMS: Mapping[type, Callable[[Any], tuple[Any, ...]]] = {
    events.MessageSent: attrgetter("uid", "originator_id", "handle", "to", "to_home")
}


class Resident(NamedTuple):
    """A user as the Global Server's word names them, and the word itself. It holds for ever."""

    handle: str
    home: str
    word: bytes = b""


def stream_fault(topic: str, stream: str, source: str) -> str | None:
    """Why `source` may not tell of this topic in this stream; None when it may, as far as that can be said without knowing the user."""
    kind, _, rest = stream.partition("-")
    if kind != ELSEWHERE.get(topic, topic.partition(".")[0]):
        return f"events of this kind are in no stream {kind}"
    if kind in OF_THE_HOME:
        return None if source != GLOBAL else "the Global Server has no users"
    if kind in OF_THE_SERVER:
        return None if rest == source else f"only {rest!r} itself may say it"
    if kind in OF_GLOBAL:
        return None if source == GLOBAL else "only the Global Server may say it"
    return "no server may say it"


def people(event: Event, server: str) -> tuple[int, ...]:
    """The users whose homes must be known before `server` believes the event: the user of the stream, and the one of this server whom it is
    for."""
    if stream_kind(event.originator_id) not in OF_THE_HOME:
        return ()
    if isinstance(event, events.MessageSent):
        return (event.stream_uid, event.to) if event.to_home == server else (event.stream_uid,)
    if isinstance(event, WATCHING):
        return (event.stream_uid, event.uid) if event.home == server else (event.stream_uid,)
    return (event.stream_uid,)


def person_fault(event: Event, who: Sequence[int], source: str, server: str, known: Mapping[int, Resident]) -> str | None:
    """Why `source` may not say this of its user to `server`; None when it may. `who`: the `people` of the event, of whom `known` has those
    who matter."""
    uid = who[0]
    user = known[uid]
    if user.home != source:
        return f"user {uid} does not live there"
    if isinstance(event, UNDER_A_HANDLE) and event.handle != user.handle:
        return f"user {uid} has another handle"
    if isinstance(event, events.MessageSent) and event.uid != uid:
        return f"user {uid} cannot send as user {event.uid}"
    for other in who[1:]:
        if other in known and known[other].home != server:
            return f"user {other} does not live here"
    return None


def accounts(event: Event, server: str) -> tuple[int, ...]:
    """The users of whom an event of the Global Server tells a home."""
    if isinstance(event, global_events.UserRegistered | global_events.ProfileChanged):
        return (event.uid,)
    return ()


def global_fault(event: Event) -> str | None:
    """Why the Global Server cannot mean this; None when it can."""
    if isinstance(event, global_events.UserRegistered | global_events.ProfileChanged | global_events.AccountClosed):
        return None if event.originator_id == f"account-{event.uid}" else "it is in the stream of another account"
    if isinstance(event, SealEvent):
        return None if event.originator_id.partition("-")[2] == event.server else "it is in the stream of another server"
    return None
