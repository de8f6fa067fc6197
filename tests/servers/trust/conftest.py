"""What the files here stand on. Rule: servers that know each other, and nothing between them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.trust.installations import Installation


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    """A Global Server and its homes."""
    installation = Installation(tmp_path)
    yield installation
    installation.close()
