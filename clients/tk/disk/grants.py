"""The grant of the person who uses this program, kept between starts. Rule: in the keyring where one works, else in a file 0600.

`<config>/signed-in.json` names the user, so that the next start knows which entry of the keyring to ask for. Passwords are not kept.
"""

import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog

from clients.private_files import write
from flash_sdk import Grant, ProtocolError
from flash_sdk.json_fields import parse_object

try:
    import keyring
except ImportError:  # it is optional, and without it the grant goes to a file
    keyring = None  # type: ignore[assignment]

SERVICE = "flash"  # the name that the person sees in the window of their keyring
_log = structlog.get_logger("flash.tk")


@dataclass(frozen=True, slots=True)
class Remembered:
    """The user to sign in at a start. `grant`: None when it is gone or too old; then the handle only prefills the sign-in window."""

    server: str
    handle: str
    grant: Grant | None


class Grants:
    """The grants of this person's users, and the name of the user who was signed in last."""

    def __init__(self, config: Path, *, use_keyring: bool = True, ring: Any = keyring) -> None:
        """`config`: the folder for settings. `ring`: the module `keyring`, or an object with the same functions."""
        self._ring = ring
        self._signed_in = config / "signed-in.json"
        self._folder = config / "grants"
        self._use_keyring = use_keyring and _works(ring)

    def keep(self, server: str, grant: Grant) -> None:
        """Remember a grant. Raises `OSError` when neither the keyring nor the disk takes it."""
        secret = json.dumps(grant.as_json())
        if not (self._use_keyring and self._to_keyring(server, grant.handle, secret)):
            write(self._file(server, grant.handle), secret)
        write(self._signed_in, json.dumps({"server": server, "handle": grant.handle}))

    def last(self) -> Remembered | None:
        """The user who was signed in last; None when nobody was."""
        try:
            last = parse_object(self._signed_in.read_bytes())
        except (OSError, ProtocolError):
            return None
        server, handle = last.get("server"), last.get("handle")
        if not isinstance(server, str) or not isinstance(handle, str):
            return None
        return self.find(server, handle)

    def find(self, server: str, handle: str) -> Remembered:
        """The memory of one user, which may hold no grant."""
        return Remembered(server, handle, self._grant(server, handle))

    def forget(self, server: str, handle: str) -> None:
        """Forget the grant. The handle stays, to prefill the next sign-in."""
        if self._use_keyring:
            with contextlib.suppress(Exception):  # backends raise errors of their own, and an entry that is not there needs no forgetting
                self._ring.delete_password(SERVICE, _account(server, handle))
        with contextlib.suppress(OSError):
            self._file(server, handle).unlink()

    def _grant(self, server: str, handle: str) -> Grant | None:
        secret = self._from_keyring(server, handle) if self._use_keyring else None
        try:
            grant = Grant.of(parse_object(secret.encode() if secret else self._file(server, handle).read_bytes()))
        except (OSError, ProtocolError):
            return None
        return grant if grant.expires_at > datetime.now(UTC) else None

    def _to_keyring(self, server: str, handle: str, secret: str) -> bool:
        try:
            self._ring.set_password(SERVICE, _account(server, handle), secret)
        except Exception as error:  # locked, refused by the person, or an error of the backend: then the file takes the grant
            _log.warning("tk.keyring_refused", error=type(error).__name__)
            return False
        return True

    def _from_keyring(self, server: str, handle: str) -> str | None:
        try:
            secret: str | None = self._ring.get_password(SERVICE, _account(server, handle))
        except Exception as error:  # as above
            _log.warning("tk.keyring_refused", error=type(error).__name__)
            return None
        return secret

    def _file(self, server: str, handle: str) -> Path:
        return self._folder / quote(server.rstrip("/"), safe="") / f"{quote(handle.lower(), safe='')}.json"


def _account(server: str, handle: str) -> str:
    return f"{handle.lower()} at {server.rstrip('/')}"


def _works(ring: Any) -> bool:
    """Whether a real keyring answers. The library has stand-ins for "none", whose priority is below 1."""
    if ring is None:
        return False
    try:
        return float(ring.get_keyring().priority) >= 1
    except Exception as error:  # a backend may raise an error of its own while it is looked for
        _log.warning("tk.keyring_refused", error=type(error).__name__)
        return False
