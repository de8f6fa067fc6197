"""A genuine installation, made once for each module, and a copy of it to be forged. Rule: what is genuine is only copied."""

import shutil
from pathlib import Path

import pytest

from tests.servers.genuine import Forger, make


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("genuine"))


@pytest.fixture
def copy(genuine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(genuine, tmp_path / "copy")


@pytest.fixture
def forger(copy: Path) -> Forger:
    return Forger(copy)
