"""The grants of this person, kept between commands. Rule: only their owner can read them (files 0600, folders 0700).

<config>/<server>/<handle>.json   one grant for each server and handle
<config>/<server>/current         the handle for which commands act when none is named
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import typer

from clients.command_line.running import BadUsage
from clients.private_files import write
from flash_sdk import Grant, ProtocolError
from flash_sdk.json_fields import parse_object


def config_dir() -> Path:
    """`FLASH_CONFIG_DIR`, or the platform's place for settings (`~/.config/flash`)."""
    return Path(os.environ.get("FLASH_CONFIG_DIR") or typer.get_app_dir("flash"))


class Grants:
    """The grants of one server."""

    def __init__(self, server: str, root: Path | None = None) -> None:
        """`server`: its URL. `root`: the folder for settings, `config_dir()` unless given."""
        self._server = server
        self._folder = (root or config_dir()) / quote(server.rstrip("/"), safe="")

    def keep(self, grant: Grant, *, current: bool) -> None:
        """Remember a grant. With `current`, commands act for its user when no handle is named; they always do for the first grant.
        Raises `OSError`."""
        write(self._grant_file(grant.handle), json.dumps(grant.as_json(), indent=1))
        if current or not self._current_file.exists():
            write(self._current_file, grant.handle)

    def get(self, handle: str | None) -> Grant:
        """The grant of `handle`, or of the current user. Raises `BadUsage` when there is no grant or it has expired."""
        if handle is None:
            handle = _read(self._current_file)
            if handle is None:
                raise BadUsage(f"nobody is logged in at {self._server}: run `flash login HANDLE` first")
        raw = _read(self._grant_file(handle))
        if raw is None:
            raise BadUsage(f"{handle} is not logged in at {self._server}: run `flash login {handle}` first")
        try:
            grant = Grant.of(parse_object(raw.encode()))
        except ProtocolError:
            raise BadUsage(f"the remembered login of {handle} is damaged: run `flash login {handle}` again") from None
        if grant.expires_at <= datetime.now(UTC):
            raise BadUsage(f"the login of {handle} has expired: run `flash login {handle}` again")
        return grant

    def seen_file(self, handle: str) -> Path:
        """The file in which `listen` of this user remembers what it has shown."""
        return self._folder / f"{_name(handle)}.seen"

    def _grant_file(self, handle: str) -> Path:
        return self._folder / f"{_name(handle)}.json"

    @property
    def _current_file(self) -> Path:
        return self._folder / "current"


def _name(handle: str) -> str:
    """A handle as the name of a file. Handles do not differ by case, and a hostile handle must not leave its folder."""
    return quote(handle.lower(), safe="")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
