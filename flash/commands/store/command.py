"""`flash store copy`: move a server between SQLite and PostgreSQL. Rule: the source is only read, and the target is whole or empty.

The commands `backup` and `restore` are in `flash/commands/store/backup.py`.
"""

import sys
from typing import Annotated

import typer

from flash.commands.session import one_line_errors, settings_for
from flash.commands.store.backup import backup, restore
from flash.process.settings import BadSetting
from runtime.database_urls import sqlite_file
from servers.maintenance.store_copy import copy_store

app = typer.Typer(help="The events of a server.", no_args_is_help=True)
app.command()(backup)
app.command()(restore)


@app.callback()
def store() -> None:
    """The events of a server."""


@app.command()
def copy(
    server: Annotated[str, typer.Argument(help="h1, h2… or global.")],
    source: Annotated[str, typer.Argument(metavar="FROM", help="sqlite:///path or postgresql://…")],
    target: Annotated[str, typer.Argument(metavar="TO", help="As FROM; it must hold nothing of this server.")],
) -> None:
    """Copy a stopped server's events, positions and keys to another database, and compare. Then start it with FLASH_STORE_URL=TO."""
    with one_line_errors():
        settings = settings_for(None)
        if (path := sqlite_file(source)) is not None and not path.exists():
            raise BadSetting(f"there is no {source}")
        copied = copy_store(server, source, target, settings.data / server, not settings.keys_url, _progress)
    keys = "keys stay where FLASH_KEYS_URL says" if settings.keys_url else f"{copied.keys} keys"
    typer.echo(
        f"{copied.events} events up to position {copied.last_position}, {copied.trackings} tracking positions, {keys}: compared, equal"
    )


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{line}", err=True, nl=False)
