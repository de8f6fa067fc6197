"""URLs of databases: `sqlite:///path` or `postgresql://user:password@host:port/database`. Rule: the scheme is looked at here only."""

from pathlib import Path

SCHEMES = ("sqlite", "postgresql", "postgres")
EXPECTED = "sqlite:///path or postgresql://user:password@host:port/database"


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database; None for PostgreSQL. Raises `ValueError` for another scheme."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise ValueError(f"not a store URL: {scheme}://…; expected {EXPECTED}")
    return Path(rest.removeprefix("/")) if scheme == "sqlite" else None
