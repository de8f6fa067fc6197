"""The folders in which this program keeps its files. Rule: nothing is read or written outside these two folders.

<config>/tk/   window places, the last user, grants where there is no keyring   (`FLASH_CONFIG_DIR`, else the platform's folder)
<data>/tk/     history, inbox and outbox of each Global Server and user          (`FLASH_DATA_DIR`, else the platform's folder)
"""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True, slots=True)
class Paths:
    """The two folders of one person."""

    config: Path
    data: Path

    @classmethod
    def of_this_person(cls) -> "Paths":
        """The folders that the environment names, else the platform's."""
        config = os.environ.get("FLASH_CONFIG_DIR") or platformdirs.user_config_dir("flash", appauthor=False)
        data = os.environ.get("FLASH_DATA_DIR") or platformdirs.user_data_dir("flash", appauthor=False)
        return cls(Path(config) / "tk", Path(data) / "tk")


def write(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only. A crash leaves the old file or the new one. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(fresh, path)
