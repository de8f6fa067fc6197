"""Everything that can be set from outside, read once from `FLASH_*` variables. Each is described in `docs/settings.md`.

Rule: a bad value names its variable, and no other module of the servers reads the environment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from edge.http.limits import Limits
from flash.process.descriptors import that_fit
from runtime import database_urls
from servers.global_server.config import GlobalConfig
from servers.home.config import HomeConfig, HousekeepingConfig
from servers.integrity.policy import SealPolicy
from servers.security.integrators import EXPECTED, PresenceGrant, read_grants
from servers.trust.enrolment import Secret
from servers.writing.config import WriterConfig

T = TypeVar("T")
Networks = tuple[IPv4Network | IPv6Network, ...]
SECONDS = "seconds above 0"
NETWORKS = "addresses or networks such as 10.0.0.5, 10.1.0.0/16"
DATA = Path("data")  # relative to the current directory, so that a first try leaves nothing elsewhere


class BadSetting(ValueError):
    """A `FLASH_*` variable or an argument holds a value that it must not hold."""


def _checked(read: Callable[[str], T], holds: Callable[[T], bool]) -> Callable[[str], T]:
    """A parser that refuses values for which the condition does not hold."""

    def parse(text: str) -> T:
        if not holds(value := read(text)):
            raise ValueError
        return value

    return parse


_positive = _checked(float, lambda value: 0 < value < float("inf"))


def _at_least(least: int) -> Callable[[str], int]:
    return _checked(int, lambda value: value >= least)


def _one_of(*choices: str) -> Callable[[str], str]:
    return _checked(str.lower, lambda text: text in choices)


def _yes_or_no(text: str) -> bool:
    return {"yes": True, "no": False}[text.lower()]


def _handles(text: str) -> frozenset[str]:
    return frozenset(handle.strip().lower() for handle in text.split(",") if handle.strip())


def _users(text: str) -> Mapping[str, str]:
    users: dict[str, str] = {}
    for entry in text.split(","):
        if entry.strip():
            server, user = (part.strip() for part in entry.split("="))
            if not (server and user):
                raise ValueError
            users[server] = user
    return MappingProxyType(users)


def _networks(text: str) -> Networks:
    return tuple(ip_network(entry.strip()) for entry in text.split(",") if entry.strip())


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.partition("://")[0] not in schemes or not text.partition("://")[2]:
            raise ValueError
        return text.rstrip("/") if schemes == ("http", "https") else text

    return parse


def _urls(*schemes: str) -> Callable[[str], str]:
    one = _url(*schemes)

    def parse(text: str) -> str:
        return ",".join(one(each.strip()) for each in text.split(","))

    return parse


def _default_of(config: type, name: str) -> Any:
    """The default of a field of a configuration: it stands there, and nowhere else."""
    return next(entry.default for entry in fields(config) if entry.name == name)


def _setting(variable: str, parse: Callable[[str], T], expected: str, default: T) -> T:
    value: T = field(default_factory=lambda: default, metadata={"variable": variable, "parse": parse, "expected": expected})
    return value


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of this process. Durations are in seconds."""

    broker_url: str = _setting(
        "FLASH_BROKER_URL", _urls("amqp", "amqps"), "amqp://user:password@host:port/vhost, of a cluster several separated by commas", ""
    )
    broker_users: Mapping[str, str] = _setting(
        "FLASH_BROKER_USERS", _users, "server=user, separated by commas, such as h1=home-1, h2=home-2, or *=flash", MappingProxyType({})
    )
    store_url: str = _setting("FLASH_STORE_URL", _url(*database_urls.SCHEMES), database_urls.EXPECTED, "")
    keys_url: str = _setting("FLASH_KEYS_URL", _url(*database_urls.SCHEMES), database_urls.EXPECTED, "")
    signing_key_file: Path | None = _setting("FLASH_SIGNING_KEY_FILE", Path, "a file", None)  # noqa: RUF009 - a Path never changes
    enroll: Secret | None = _setting(  # noqa: RUF009 - a Secret never changes
        "FLASH_ENROLL", Secret.read, "what `flash enroll` printed for this home", None
    )
    public_url: str = _setting("FLASH_PUBLIC_URL", _url("http", "https"), "http(s)://host[:port], as clients reach this server", "")
    data: Path = _setting("FLASH_DATA_DIR", Path, "a directory", DATA)  # noqa: RUF009 - a Path never changes
    host: str = _setting("FLASH_HOST", str, "an address to listen on", "127.0.0.1")
    blank_s: float = _setting("FLASH_BLANK_S", _positive, SECONDS, _default_of(HomeConfig, "blank_s"))
    restart_grace_s: float = _setting("FLASH_RESTART_GRACE_S", _positive, SECONDS, _default_of(HousekeepingConfig, "restart_grace_s"))
    lease_s: float = _setting("FLASH_LEASE_S", _positive, SECONDS, _default_of(HomeConfig, "lease_s"))
    message_ttl_s: float = _setting("FLASH_MESSAGE_TTL_S", _positive, SECONDS, _default_of(HousekeepingConfig, "message_ttl_s"))
    token_lifetime_s: float = _setting("FLASH_TOKEN_LIFETIME_S", _positive, SECONDS, _default_of(GlobalConfig, "token_lifetime_s"))
    old_clients: bool = _setting("FLASH_OLD_CLIENTS", _yes_or_no, "yes or no", _default_of(GlobalConfig, "old_clients"))
    registrations_per_s: float = _setting(
        "FLASH_REGISTRATIONS_PER_S", _positive, "a number above 0", _default_of(GlobalConfig, "registrations_per_s")
    )
    ops: frozenset[str] = _setting("FLASH_OPS", _handles, "handles, separated by commas", frozenset())
    integrators: Mapping[str, PresenceGrant] = _setting("FLASH_INTEGRATORS", read_grants, EXPECTED, MappingProxyType({}))
    seal_events: int = _setting("FLASH_SEAL_EVENTS", _at_least(2), "a whole number above 1", _default_of(SealPolicy, "events"))
    seal_s: float = _setting("FLASH_SEAL_S", _positive, SECONDS, _default_of(SealPolicy, "seconds"))
    states_mb: int = _setting(
        "FLASH_STATES_MB", _at_least(1), "a whole number above 0", _default_of(WriterConfig, "max_state_bytes") // 1_000_000
    )
    max_connections: int = _setting("FLASH_MAX_CONNECTIONS", _at_least(1), "a whole number above 0", _default_of(Limits, "max_connections"))
    connections_per_address: int = _setting(
        "FLASH_MAX_CONNECTIONS_PER_ADDRESS", _at_least(1), "a whole number above 0", _default_of(Limits, "per_address")
    )
    connections_per_user: int = _setting(
        "FLASH_MAX_CONNECTIONS_PER_USER", _at_least(1), "a whole number above 0", _default_of(Limits, "per_user")
    )
    trusted_proxies: Networks = _setting("FLASH_TRUSTED_PROXIES", _networks, NETWORKS, ())  # noqa: RUF009 - a tuple never changes
    direct_networks: Networks = _setting("FLASH_DIRECT_NETWORKS", _networks, NETWORKS, ())  # noqa: RUF009 - a tuple never changes
    log_level: str = _setting("FLASH_LOG_LEVEL", _one_of("debug", "info", "warning", "error"), "debug, info, warning or error", "info")
    log_format: str = _setting("FLASH_LOG_FORMAT", _one_of("console", "json"), "console or json", "console")

    @property
    def limits(self) -> Limits:
        """What clients may cost each server."""
        return Limits(that_fit(self.max_connections), self.connections_per_address, self.connections_per_user)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings that `environment` asks for; `<variable>_FILE` names a file that holds the value, such as a secret.

        Raises `BadSetting`. An empty variable counts as unset.
        """
        values: dict[str, Any] = {}
        for entry in fields(cls):
            variable = entry.metadata["variable"]
            text = _text(environment, variable)
            if text:
                try:
                    values[entry.name] = entry.metadata["parse"](text)
                except ValueError:
                    raise BadSetting(f"{variable}: expected {entry.metadata['expected']}") from None
        return cls(**values)


def _text(environment: Mapping[str, str], variable: str) -> str:
    text, file = environment.get(variable, "").strip(), environment.get(f"{variable}_FILE", "").strip()
    if not file:
        return text
    if text:
        raise BadSetting(f"{variable}: expected either a value or {variable}_FILE, not both")
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{variable}_FILE: expected a file that can be read ({type(error).__name__})") from None
