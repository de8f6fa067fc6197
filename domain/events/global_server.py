"""Every event of the Global Server. Rule: a topic or a stored field, once written, is never renamed.

| stream            | events                                                       |
|-------------------|--------------------------------------------------------------|
| `account-<uid>`   | UserRegistered, ProfileChanged, CredentialChanged, AccountClosed |
| `handle-<handle>` | HandleClaimed                                                |
| `home-<name>`     | HomeEnrolled, CertificateIssued, UrlAllowed, HomeAnnounced, HomeRevoked, HomeRetired |
| `audit-<uid>`     | AuditRead, DeadLettersHandled                                |
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.event import Event
from domain.values import Cause, Handle, HomeName, Name, Number, Uid


class UserRegistered(Event, frozen=True, kw_only=True):
    """A person became a user and was given a home for good. The first event of `account-<uid>`; the directory lists the user from now on.

    `profile` holds the filled-in fields only (`domain.profile.PROFILE_FIELDS`).
    """

    TOPIC: ClassVar[str] = "account.user_registered"
    PERSONAL: ClassVar[Mapping[str, str]] = {"profile": "uid"}
    uid: Uid
    handle: Handle
    home: HomeName
    profile: dict[str, str]


class ProfileChanged(Event, frozen=True, kw_only=True):
    """A user changed their profile. In `account-<uid>`; the directory shows and finds the new one, and the home is told the name.

    `changes` holds only the fields that changed: the new text, or `None` where a field was emptied.
    """

    TOPIC: ClassVar[str] = "account.profile_changed"
    PERSONAL: ClassVar[Mapping[str, str]] = {"name": "uid", "changes": "uid"}
    uid: Uid
    handle: Handle
    home: HomeName
    name: Name  # the user's name after the change, which the home shows
    changes: dict[str, str | None]


class CredentialChanged(Event, frozen=True, kw_only=True):
    """A user's password was set, or hashed anew. In `account-<uid>`; private: it never leaves the store.

    `password_hash` is an argon2id string with its own salt and parameters; it never shows in a `repr`.
    """

    TOPIC: ClassVar[str] = "account.credential_changed"
    PRIVATE: ClassVar[bool] = True
    PERSONAL: ClassVar[Mapping[str, str]] = {"password_hash": "uid"}
    uid: Uid
    password_hash: str

    def __repr__(self) -> str:
        return f"CredentialChanged(uid={self.uid})"


class AccountClosed(Event, frozen=True, kw_only=True):
    """A user left for good. The last event of `account-<uid>`: nobody finds them any more, and they get no more tokens. The handle stays
    taken, so that old messages never seem to come from somebody else. `reason` is for the audit. The user's key is destroyed, and every
    home does the same (UserClosed). Version 1 told no home.
    """

    TOPIC: ClassVar[str] = "account.closed"
    ERASES: ClassVar[bool] = True
    class_version: ClassVar[int] = 2
    uid: Uid
    reason: Cause
    home: HomeName  # where they lived
    homes: list[HomeName]  # all homes that must hear of it, because any home may have a message or a name of theirs

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Version 2 added `home` and `homes`."""
        state["home"], state["homes"] = "", []


class HandleClaimed(Event, frozen=True, kw_only=True):
    """A handle belongs to a user from now on. Always the first event of `handle-<handle>`: the database's key on (stream, version) makes
    handles unique, even between two Global Servers on one store."""

    TOPIC: ClassVar[str] = "handle.claimed"
    handle: Handle
    uid: Uid


class HomeAnnounced(Event, frozen=True, kw_only=True):
    """A Home Server is part of this installation, and clients reach it at `url`. In `home-<name>`; new users may be given to it."""

    TOPIC: ClassVar[str] = "home.announced"
    name: HomeName
    url: str


class HomeEnrolled(Event, frozen=True, kw_only=True):
    """A Home Server has proved the secret that the ops gave it. In `home-<name>`; `key` is its public Ed25519 key, in hex, and the name is
    that key's from now on."""

    TOPIC: ClassVar[str] = "home.enrolled"
    name: str
    key: str


class CertificateIssued(Event, frozen=True, kw_only=True):
    """The Global Server stated a home's key, URLs and life until `expires`. In `home-<name>`; `certificate` is what it signed, in hex: a
    reader of the history needs the Global Server's key only. `number` rises."""

    TOPIC: ClassVar[str] = "home.certificate_issued"
    name: str
    number: int
    expires: float
    life: int
    certificate: str


class UrlAllowed(Event, frozen=True, kw_only=True):
    """The ops allowed a home to announce itself at `url`. In `home-<name>`."""

    TOPIC: ClassVar[str] = "home.url_allowed"
    name: str
    url: str


class HomeRevoked(Event, frozen=True, kw_only=True):
    """No certificate of a home up to `number` is believed any more, at the Global Server at once and at `homes` as soon as they hear it. In
    `home-<name>`; new users are given to the home only after it was enrolled again. `by`: the handle of whoever asked for it in the
    console; empty for the command line, and when another key took the name."""

    TOPIC: ClassVar[str] = "home.revoked"
    name: str
    number: int
    homes: list[str]
    by: str = ""


class LifeAccepted(Event, frozen=True, kw_only=True):
    """The ops accepted that a server goes on without what nobody has any more. In `home-<name>`, where the name may be `global`. `life`,
    `end`: of the log that was set back; `known`: how far it was known to have come; `loss`: in words, as the ops read them."""

    TOPIC: ClassVar[str] = "home.life_accepted"
    name: HomeName
    life: Number
    end: Number
    known: Number
    loss: str


class UidsReserved(Event, frozen=True, kw_only=True):
    """A Global Server will give the uids `first` to `last`, and nobody else will. In `uids-global`; in the history before one of them is
    given."""

    TOPIC: ClassVar[str] = "account.uids_reserved"
    first: Uid
    last: Uid


class HomeRetired(Event, frozen=True, kw_only=True):
    """A Home Server takes no new users any more. In `home-<name>`; its present users stay there."""

    TOPIC: ClassVar[str] = "home.retired"
    name: HomeName


class AuditRead(Event, frozen=True, kw_only=True):
    """Somebody with the role `ops` looked at the history. In the `audit-<uid>` of that person, stored before anything was shown."""

    TOPIC: ClassVar[str] = "audit.read"
    by: int
    handle: Handle
    what: str  # "log" | "tail" | "timeline" | "trace" | "online" | "heavy"
    whom: str  # the person or thing that was asked about, and the moment; empty for everything


class DeadLettersHandled(Event, frozen=True, kw_only=True):
    """Somebody with the role `ops` asked to put back or to throw away dead letters. In `audit-<uid>`, stored before it is done."""

    TOPIC: ClassVar[str] = "audit.dead_letters_handled"
    by: int
    handle: Handle
    action: str  # "requeue" | "drop"
    letters: str  # the letter's id, or "all"
