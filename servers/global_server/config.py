"""What the Global Server is told from outside. Rule: every default of the Global Server stands here once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from projections.server.presence_feed import KEPT_CHANGES
from servers.integrity.policy import SealPolicy
from servers.messaging.cards import CardsConfig
from servers.messaging.clock_check import ClockConfig
from servers.messaging.heartbeats import HeartbeatConfig
from servers.readiness import ReadinessConfig
from servers.security.integrators import PresenceGrant
from servers.security.passwords import Cost
from servers.sessions import blanks
from servers.writing.config import WriterConfig


@dataclass(frozen=True, slots=True)
class GlobalConfig:
    """The Global Server. `store_url`: its database, see `servers.store.event_store.Store`; `directory`: for checkpoints and, unless
    `key_file` names another place, the signing key; `keys_url`: the database of the keys of personal data."""

    store_url: str
    directory: Path
    key_file: Path | None = None  # several Global Servers on one store must share it
    token_lifetime_s: float = 30 * 86_400.0  # people give their password once a month; a stolen token is of use no longer
    old_clients: bool = True  # whether clients that know one token only may come
    ops: frozenset[str] = frozenset()  # handles whose tokens carry the role `ops`
    integrators: Mapping[str, PresenceGrant] = field(default_factory=dict)  # by handle; their tokens carry the role `integrator`
    blank_s: float = blanks.INTERVAL_S  # on presence streams
    password_cost: Cost = field(default_factory=Cost)
    registrations_per_s: float = 10.0  # per address (of IPv6, per /48), lasting
    registrations_burst: int = 1_000  # a school behind one address registers in one lesson
    failed_logins_per_s: float = 0.1  # per handle and address, lasting: 8,640 guesses a day
    failed_logins_burst: int = 10  # a person who mixes up passwords
    failed_guesses_per_s: float = 1.0  # per address, whatever the handle: bounds an attacker who tries one password on everybody
    failed_guesses_burst: int = 300  # an office behind one address after a change of passwords
    failed_anywhere_per_s: float = 0.1  # per handle over all addresses that are not familiar: bounds a guesser who has many addresses
    failed_anywhere_burst: int = 100  # so many wrong guesses in a row are the most that NIST's SP 800-63B allows
    sign_ins_per_s: float = 0.2  # per handle and address, right or wrong, lasting: each costs a hash, and a token lasts for a month
    sign_ins_burst: int = 60  # a program that signs in for each of its runs
    lookups_per_s: float = 20.0  # per user, lasting: searches and look-ups; the directory is for finding people, not for copying
    lookups_burst: int = 6_000  # a client that learns the names of a contact list of the largest size
    profile_changes_per_s: float = 0.1  # per user, lasting: six a minute; each is indexed, told to the home and to every contacter
    profile_changes_burst: int = 20  # somebody who fills in the form field by field
    kept_changes: int = KEPT_CHANGES  # of presence, for integrators who were away
    home_wait_s: float = 3.0  # a new user waits so long for a home; a home sends a heartbeat each second, so one that lives is heard
    heartbeats: HeartbeatConfig = field(default_factory=HeartbeatConfig)
    clock: ClockConfig = field(default_factory=ClockConfig)
    readiness: ReadinessConfig = field(default_factory=ReadinessConfig)
    seals: SealPolicy = field(default_factory=SealPolicy)
    writer: WriterConfig = field(default_factory=WriterConfig)
    keys_url: str = ""
    cards: CardsConfig = field(default_factory=CardsConfig)
