"""Every class of event that a server stores. Rule: code that needs all of them asks here, so that no kind of event is forgotten."""

from domain.event import Event
from domain.events import global_server, home, integrity, throttles


def every_event() -> list[type[Event]]:
    """The classes that have a topic, in the order of their modules."""
    found = [kind for module in (global_server, home, integrity, throttles) for kind in vars(module).values()]
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, Event) and "TOPIC" in vars(kind)]
