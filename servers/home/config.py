"""What one Home Server is told from outside. Rule: every default of a home stands here once."""

from dataclasses import dataclass, field
from pathlib import Path

from servers.integrity.policy import SealPolicy
from servers.messaging.cards import CardsConfig
from servers.messaging.clock_check import ClockConfig
from servers.messaging.heartbeats import HeartbeatConfig
from servers.readiness import ReadinessConfig
from servers.sessions import blanks
from servers.sessions.tickets import TICKETS
from servers.trust.enrolment import Secret
from servers.writing.config import WriterConfig


@dataclass(frozen=True, slots=True)
class HousekeepingConfig:
    """How long a home waits before it acts. `restart_grace_s`: after a restart clients have this time to come back, then their contacters
    are told that they are gone; `message_ttl_s`: a message that nobody fetched expires at this age."""

    restart_grace_s: float = 10.0
    message_ttl_s: float = 30 * 86_400.0
    look_s: float = 1.0  # how late a status may lapse
    expire_every_s: float = 3600.0  # how late a message may expire


@dataclass(frozen=True, slots=True)
class HomeConfig:
    """One home. `url`: where clients reach it; `store_url`: its database, see `servers.store.event_store.Store`; `directory`: for
    checkpoints and remembered keys; `holder`: names this process among those that could serve this home; `lease_s`: how long one renewal of
    the lease is good; `keys_url`: the database of the keys of personal data, see `servers/encryption/key_tables.py`; `enrolment`: what
    `flash enroll` printed for this home; `registry_keys`: where the Global Server's keys may lie,
    if this home shares its directory or database."""

    name: str
    url: str
    store_url: str
    directory: Path
    blank_s: float = blanks.INTERVAL_S
    sends_per_s: float = 100.0  # per user, lasting: a program may do this, a person never
    sends_burst: int = 1_000  # a client that was offline sends at once what it kept
    changes_per_s: float = 10.0  # per user, lasting: logins and contacts, weighed by the lists that they read: see `work.py`
    changes_burst: int = 6_000  # a contact list of the largest size is imported at once
    statuses_per_s: float = 10.0  # per user, lasting: changes of status, weighed by those who watch the user
    statuses_burst: int = 1_000  # with 1,500 contacters some thirty changes at once, then one in three seconds
    heartbeats: HeartbeatConfig = field(default_factory=HeartbeatConfig)
    clock: ClockConfig = field(default_factory=ClockConfig)
    readiness: ReadinessConfig = field(default_factory=ReadinessConfig)
    max_tickets: int = TICKETS.entries
    housekeeping: HousekeepingConfig = field(default_factory=HousekeepingConfig)
    holder: str = "somebody"
    shared_broker: bool = False  # whether another process could serve under the same name
    lease_s: float = 4.0  # a standby looks every half second, so it serves about five seconds after the holder's last sign of life
    seals: SealPolicy = field(default_factory=SealPolicy)
    writer: WriterConfig = field(default_factory=WriterConfig)
    keys_url: str = ""
    enrolment: Secret | None = None
    cards: CardsConfig = field(default_factory=CardsConfig)
    registry_keys: tuple[str, ...] = ()
    old_clients: bool = True  # whether tokens that are good for the Global Server as well are believed
