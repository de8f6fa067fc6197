"""Roles and databases as `deploy/postgres/roles.sh` makes them. Rule: the script is asked, and nothing of it is repeated here."""

import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.postgres import find_binaries

SCRIPT = Path(__file__).parents[2] / "deploy/postgres/roles.sh"


def _program(name: str) -> str:
    binaries = find_binaries()
    assert binaries is not None
    return str(binaries / name)


def move_schema(schema: str, source: str, target: str) -> None:
    """Copy a schema to a database of another role."""
    dump = [_program("pg_dump"), "--no-owner", "--no-privileges", "-n", schema, source]
    sql = subprocess.run(dump, capture_output=True, check=True).stdout
    subprocess.run([_program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", target], input=sql, capture_output=True, check=True)


def make_roles(url: str, *servers: str) -> None:
    """Run what the script prints, as the superuser of `url`."""
    sql = subprocess.run([str(SCRIPT), *servers], capture_output=True, text=True, check=True).stdout
    command = [_program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", url]
    subprocess.run(command, input=sql, capture_output=True, text=True, check=True)


def role_url(url: str, role: str, database: str) -> str:
    """The URL of a database for a role; a cluster of our own asks for no password."""
    parts = urlsplit(url)
    return f"postgresql://{role}@{parts.hostname}:{parts.port}/{database}"
