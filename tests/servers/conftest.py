"""What several files here stand on. Rule: whatever stores something is tested on each kind of database."""

from collections.abc import Callable

import pytest


@pytest.fixture
def url(store_url: Callable[[str], str]) -> str:
    """Where the events of a home named h1 lie."""
    return store_url("h1")
