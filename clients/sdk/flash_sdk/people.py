"""Grants, users, contacts and their presence, as the servers describe them. Rule: values only, read from JSON by `of`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self

from flash_sdk import json_fields as fields
from flash_sdk.errors import ProtocolError
from flash_sdk.json_fields import Json

PROFILE_FIELDS = ("full_name", "email", "phone", "organisation", "street", "city", "state", "country", "note")


@dataclass(frozen=True, slots=True)
class Home:
    """A Home Server: its name and the URL clients reach it at."""

    name: str
    url: str

    @classmethod
    def of(cls, source: Json) -> Self:
        """Read `{"name","url"}`. Raises `ProtocolError`."""
        url = fields.text(source, "url")
        if not url.startswith(("http://", "https://")):
            raise ProtocolError("the home's url is not a URL of HTTP")
        return cls(fields.text(source, "name"), url)


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to act as one user until `expires_at`. `token` is for the user's home and `global_token` for the Global Server; a grant of
    an older server has the same token for both. Both are left out of `repr`, so that no log shows them."""

    uid: int
    handle: str
    home: Home
    expires_at: datetime
    token: str = field(repr=False)
    global_token: str = field(repr=False)

    @classmethod
    def of(cls, source: Json) -> Self:
        """Read a *grant* of the protocol. Raises `ProtocolError`."""
        token = fields.text(source, "token")
        global_token = fields.text(source, "global_token") if "global_token" in source else token
        if not all(each.isascii() and each.isprintable() for each in (token, global_token)):
            raise ProtocolError("the token has characters that no header may have")
        return cls(
            uid=fields.integer(source, "uid"),
            handle=fields.text(source, "handle"),
            home=Home.of(fields.section(source, "home")),
            expires_at=fields.moment(source, "expires_at"),
            token=token,
            global_token=global_token,
        )

    def as_json(self) -> dict[str, Any]:
        """The same shape as in the protocol, with the tokens, for keeping it where only the user can read it."""
        home = {"name": self.home.name, "url": self.home.url}
        expires_at = self.expires_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        tokens = {"token": self.token, "global_token": self.global_token}
        return {"uid": self.uid, "handle": self.handle, "home": home, "expires_at": expires_at} | tokens


@dataclass(frozen=True, slots=True)
class User:
    """A registered person. `profile` has the fields of `PROFILE_FIELDS` that they filled in."""

    uid: int
    handle: str
    home: Home
    profile: Mapping[str, str]

    @classmethod
    def of(cls, source: Json) -> Self:
        """Read a *user* of the protocol. Raises `ProtocolError`."""
        profile = {name: value for name, value in fields.section(source, "profile").items() if isinstance(value, str) and value}
        home = Home.of(fields.section(source, "home"))
        return cls(fields.integer(source, "uid"), fields.text(source, "handle"), home, MappingProxyType(profile))


@dataclass(frozen=True, slots=True)
class Status:
    """The present status of a user: `online`, `away`, `dnd`, `offline` or `unknown`. `since` is None when nobody knows."""

    status: str
    since: datetime | None = None
    note: str = ""

    @classmethod
    def of(cls, source: Json) -> Self:
        """Read `{"status","since","note"}`. Raises `ProtocolError`."""
        return cls(fields.text(source, "status"), fields.optional_moment(source, "since"), fields.text(source, "note", ""))


@dataclass(frozen=True, slots=True)
class MyStatus:
    """The status that I set last, on any session: it comes as a part and in the welcome. `until`: None for no end."""

    status: str
    note: str = ""
    until: datetime | None = None

    @classmethod
    def of(cls, source: Json) -> Self:
        """Read `{"status","note","until"}`. Raises `ProtocolError`."""
        return cls(fields.text(source, "status"), fields.text(source, "note", ""), fields.optional_moment(source, "until"))


@dataclass(frozen=True, slots=True)
class Contact:
    """Someone on my contact list. `alias`: my own name for them; `notify`: whether to tell me when they come online."""

    uid: int
    handle: str
    name: str
    alias: str | None
    notify: bool
    presence: Status

    @classmethod
    def of(cls, source: Json) -> Self:
        """Read a *contact* of the protocol. Raises `ProtocolError`."""
        return cls(
            uid=fields.integer(source, "uid"),
            handle=fields.text(source, "handle"),
            name=fields.text(source, "name", ""),
            alias=fields.optional_text(source, "alias"),
            notify=fields.flag(source, "notify"),
            presence=Status.of(fields.section(source, "presence")),
        )


@dataclass(frozen=True, slots=True)
class Sender:
    """The user who sent a message."""

    uid: int
    handle: str
    name: str

    @classmethod
    def of(cls, source: Json) -> Self:
        """Read `{"uid","handle","name"}`. Raises `ProtocolError`."""
        return cls(fields.integer(source, "uid"), fields.text(source, "handle"), fields.text(source, "name", ""))


@dataclass(frozen=True, slots=True)
class Accepted:
    """A send that the home has committed to disk. `direct`: the recipient's client has taken it from us already."""

    id: str
    accepted_at: datetime
    direct: bool = False

    @classmethod
    def of(cls, source: Json, *, direct: bool = False) -> Self:
        """Read the answer to a send. Raises `ProtocolError`."""
        return cls(fields.text(source, "id"), fields.moment(source, "accepted_at"), direct)

    @property
    def straight(self) -> bool:
        """The former name of `direct`."""
        return self.direct
