"""Where windows stood and what the person chose for this machine. Rule: never worth an error: what cannot be read is as at first start."""

import json
from pathlib import Path

import structlog

from clients.tk.places import write
from flash_sdk import ProtocolError
from flash_sdk.fields import parse_object

_log = structlog.get_logger("flash.tk")


class WindowPlaces:
    """A small JSON file of names and values; the views choose the names (`contacts.geometry`, `theme`, `popup.edge`)."""

    def __init__(self, config: Path) -> None:
        """`config`: the folder for settings."""
        self._path = config / "windows.json"
        try:
            self._values = parse_object(self._path.read_bytes())
        except (OSError, ProtocolError):
            self._values = {}

    def get(self, name: str, default: str = "") -> str:
        """What was put under a name."""
        value = self._values.get(name)
        return value if isinstance(value, str) else default

    def put(self, name: str, value: str) -> None:
        """Remember it, on disk when it is new. When the disk refuses, for as long as the process lives."""
        if self._values.get(name) == value:
            return
        self._values[name] = value
        try:
            write(self._path, json.dumps(self._values, indent=1, sort_keys=True))
        except OSError as error:
            _log.warning("tk.places_not_written", errno=error.errno)
