"""The grant of the person who uses this program, kept between starts. Rule: in the keyring where one works, else in a file 0600.

Which user it is stands in `<config>/signed-in.json`, so that the next start knows whom to ask the keyring for. Passwords are not kept.
"""

import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import structlog

from clients.tk.disk.paths import write
from flash_sdk import Grant, ProtocolError
from flash_sdk.json_fields import parse_object

try:
    import keyring
    import keyring.errors
except ImportError:  # optional: then the file it is
    keyring = None  # type: ignore[assignment]

SERVICE = "flash"  # what the person sees in their keyring's own window
_log = structlog.get_logger("flash.tk")


@dataclass(frozen=True, slots=True)
class Remembered:
    """Whom to sign in at a start, and with what. `grant`: None when it is gone or too old; then only the sign-in window is prefilled."""

    server: str
    handle: str
    grant: Grant | None


class Grants:
    """The grants of this person's users, and which of them was used last."""

    def __init__(self, config: Path, *, use_keyring: bool = True) -> None:
        """`config`: the folder for settings."""
        self._signed_in = config / "signed-in.json"
        self._folder = config / "grants"
        self._use_keyring = use_keyring and _keyring_works()

    def keep(self, server: str, grant: Grant) -> None:
        """Remember it. Raises `OSError` when neither the keyring nor the disk takes it."""
        secret = json.dumps(grant.as_json())
        if not (self._use_keyring and self._to_keyring(server, grant.handle, secret)):
            write(self._file(server, grant.handle), secret)
        write(self._signed_in, json.dumps({"server": server, "handle": grant.handle}))

    def last(self) -> Remembered | None:
        """Who was signed in last; None when nobody was."""
        try:
            last = parse_object(self._signed_in.read_bytes())
        except (OSError, ProtocolError):
            return None
        server, handle = last.get("server"), last.get("handle")
        if not isinstance(server, str) or not isinstance(handle, str):
            return None
        return self.find(server, handle)

    def find(self, server: str, handle: str) -> Remembered:
        """What is remembered of one user, which may be nothing."""
        return Remembered(server, handle, self._grant(server, handle))

    def forget(self, server: str, handle: str) -> None:
        """Forget the grant. The handle stays, to prefill the next sign-in."""
        if self._use_keyring:
            with contextlib.suppress(Exception):  # backends raise what they like; what is not there needs no forgetting
                keyring.delete_password(SERVICE, _account(server, handle))
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
            keyring.set_password(SERVICE, _account(server, handle), secret)
        except Exception as error:  # locked, refused by the person, or a backend's own error: the file takes it
            _log.warning("tk.keyring_refused", error=type(error).__name__)
            return False
        return True

    def _from_keyring(self, server: str, handle: str) -> str | None:
        try:
            return keyring.get_password(SERVICE, _account(server, handle))
        except Exception as error:  # as above
            _log.warning("tk.keyring_refused", error=type(error).__name__)
            return None

    def _file(self, server: str, handle: str) -> Path:
        return self._folder / quote(server.rstrip("/"), safe="") / f"{quote(handle.lower(), safe='')}.json"


def _account(server: str, handle: str) -> str:
    return f"{handle.lower()} at {server.rstrip('/')}"


def _keyring_works() -> bool:
    """Whether a real keyring answers: the library's stand-ins for "none" have a priority below 1."""
    if keyring is None:
        return False
    try:
        return float(keyring.get_keyring().priority) >= 1
    except Exception as error:  # backends raise what they like while being looked for
        _log.warning("tk.keyring_refused", error=type(error).__name__)
        return False
