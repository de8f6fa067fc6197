"""URLs of databases name a SQLite file or a PostgreSQL database, and nothing else."""

from pathlib import Path

import pytest

from runtime.database_urls import sqlite_file


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///data/h1.db", Path("data/h1.db")),
        ("sqlite:////var/flash/h1.db", Path("/var/flash/h1.db")),
        ("postgresql://flash:secret@db:5432/flash", None),
        ("postgres://db/flash", None),
    ],
)
def test_a_url_names_a_file_or_a_database(url, file):
    assert sqlite_file(url) == file


@pytest.mark.parametrize("url", ["mysql://x", "data/h1.db", ""])
def test_another_scheme_is_refused(url):
    with pytest.raises(ValueError, match="not a store URL"):
        sqlite_file(url)
