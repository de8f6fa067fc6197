"""Speak Flash from Python. Rule: the names in this file are the public API; the modules behind them may move.

The package is flat, as httpx and h11 are: a layers contract says which module may import which.
"""

from flash_sdk.backoff import Pace
from flash_sdk.client import FlashClient
from flash_sdk.errors import (
    FlashClientError,
    NotAContact,
    ProtocolError,
    Refused,
    TryLater,
    Unanswered,
    Unauthorized,
    UnknownSession,
    Unreachable,
)
from flash_sdk.events import (
    Blank,
    Connected,
    Contacts,
    Direct,
    Disconnected,
    Done,
    Event,
    Goodbye,
    Message,
    Presence,
    PresenceChange,
    Receipt,
    Welcome,
)
from flash_sdk.feed import FeedItem, PresenceEvent, SilentHomes, Snapshot, Standing
from flash_sdk.integrator import presence
from flash_sdk.listener import Listener
from flash_sdk.ops import Heavy, ServerLoad, Throttle
from flash_sdk.peer_routes import DirectTimeouts
from flash_sdk.people import PROFILE_FIELDS, Accepted, Contact, Grant, Home, MyStatus, Sender, Status, User
from flash_sdk.seen import FileSeen, MemorySeen, SeenStore
from flash_sdk.transport_ladder import Patience, TransportTimeouts

__all__ = [
    "PROFILE_FIELDS",
    "Accepted",
    "Blank",
    "Connected",
    "Contact",
    "Contacts",
    "Direct",
    "DirectTimeouts",
    "Disconnected",
    "Done",
    "Event",
    "FeedItem",
    "FileSeen",
    "FlashClient",
    "FlashClientError",
    "Goodbye",
    "Grant",
    "Heavy",
    "Home",
    "Listener",
    "MemorySeen",
    "Message",
    "MyStatus",
    "NotAContact",
    "Pace",
    "Patience",
    "Presence",
    "PresenceChange",
    "PresenceEvent",
    "ProtocolError",
    "Receipt",
    "Refused",
    "SeenStore",
    "Sender",
    "ServerLoad",
    "SilentHomes",
    "Snapshot",
    "Standing",
    "Status",
    "Throttle",
    "TransportTimeouts",
    "TryLater",
    "Unanswered",
    "Unauthorized",
    "UnknownSession",
    "Unreachable",
    "User",
    "Welcome",
    "presence",
]
