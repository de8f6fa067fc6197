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
