"""What the Global Server knows of accounts, handles, homes and auditors. Rule: only `evolve.py` changes it."""

from dataclasses import dataclass, field
from typing import Any

from domain.personal import Personal


@dataclass(slots=True)
class AccountState:
    """One account. `password_hash` is empty until the first `CredentialChanged`."""

    stream: str
    version: int = 0
    uid: int = 0
    handle: str = ""
    home: str = ""
    profile: dict[str, str] = field(default_factory=dict)
    password_hash: str = field(default="", repr=False)
    closed: bool = False

    def to_snapshot(self) -> list[Any]:
        """The whole state as plain data and `Personal` values."""
        profile, password_hash = Personal(self.uid, self.profile), Personal(self.uid, self.password_hash)
        return [self.uid, self.handle, self.home, profile, password_hash, self.closed]

    def from_snapshot(self, data: list[Any]) -> None:
        """Take over the state that `to_snapshot` gave."""
        self.uid, self.handle, self.home, self.profile, self.password_hash, self.closed = data


@dataclass(slots=True)
class HandleState:
    """One handle. `uid` is 0 while nobody has it."""

    stream: str
    version: int = 0
    uid: int = 0

    def to_snapshot(self) -> int:
        """The whole state as plain data and `Personal` values."""
        return self.uid

    def from_snapshot(self, data: int) -> None:
        """Take over the state that `to_snapshot` gave."""
        self.uid = data


@dataclass(slots=True)
class UidsState:
    """Up to which uid blocks were reserved."""

    stream: str
    version: int = 0
    last: int = 0

    def to_snapshot(self) -> int:
        """The whole state as plain data."""
        return self.last

    def from_snapshot(self, data: int) -> None:
        """Take over the state that `to_snapshot` gave."""
        self.last = data


@dataclass(slots=True)
class HomeState:
    """One home's entry. `url` is empty until the home was announced, `key` until it was enrolled. `number`: of its newest certificate;
    `revoked`: up to which number none is believed; `accepted`: life, end and known position of the loss that the ops accepted last."""

    stream: str
    version: int = 0
    url: str = ""
    retired: bool = False
    allowed: str = ""
    key: str = ""
    number: int = 0
    revoked: int = 0
    accepted: list[int] = field(default_factory=list)

    @property
    def enrolled(self) -> bool:
        """Whether it has a certificate that was not revoked."""
        return self.number > self.revoked

    def to_snapshot(self) -> list[Any]:
        """The whole state as plain data and `Personal` values."""
        return [self.url, self.retired, self.allowed, self.key, self.number, self.revoked, self.accepted]

    def from_snapshot(self, data: list[Any]) -> None:
        """Take over the state that `to_snapshot` gave. Snapshots from before enrolment have the first two fields only."""
        self.url, self.retired, *enrolment = data
        if enrolment:
            self.allowed, self.key, self.number, self.revoked, *accepted = enrolment
            self.accepted = accepted[0] if accepted else []


@dataclass(slots=True)
class TrailState:
    """One auditor's trail. Nothing is decided by it."""

    stream: str
    version: int = 0

    def to_snapshot(self) -> list[Any]:
        """The whole state as plain data and `Personal` values."""
        return []

    def from_snapshot(self, data: list[Any]) -> None:
        """Take over the state that `to_snapshot` gave."""
