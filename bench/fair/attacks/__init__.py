"""The attacks by the name of their row. Rule: each goes on until it is cancelled, from addresses of its own unless its row is an office."""

from collections.abc import Awaitable, Callable, Mapping

from bench.fair.attacks import nobody, users, wires
from bench.fair.foe import Foe

Attack = Callable[[Foe], Awaitable[None]]

ATTACKS: Mapping[str, Attack] = {
    "contacts": users.contacts,
    "contacts-1000": users.contacts_1000,
    "erasures": nobody.erasures,
    "registrations": nobody.registrations,
    "sign-ins": nobody.sign_ins,
    "guesses": nobody.guesses,
    "office": nobody.office,
    "mailboxes": users.mailboxes,
    "small-to-full": users.small_to_full,
    "silent-sessions": users.silent_sessions,
    "welcomes": users.welcomes,
    "flapping": users.flapping,
    "profiles": users.profiles,
    "searches": users.searches,
    "unread-answers": wires.unread_answers,
    "pipelines": wires.pipelines,
    "unfinished-heads": wires.unfinished_heads,
    "descriptors": wires.descriptors,
}
# What an attack is told where it takes place: one that is only refused shows nothing. The others cannot be told anything.
TOLD: Mapping[str, int] = {
    **dict.fromkeys(("contacts", "contacts-1000", "sign-ins", "silent-sessions", "welcomes", "pipelines"), 200),
    **dict.fromkeys(("registrations",), 201),
    **dict.fromkeys(("mailboxes", "small-to-full"), 202),
    **dict.fromkeys(("erasures", "flapping"), 204),
    **dict.fromkeys(("guesses", "office"), 401),
    **dict.fromkeys(("profiles", "searches"), 422),  # these are refused since 79ccbf3, because of their length
}
