"""`flash store copy`: move a server between SQLite and PostgreSQL. Rule: the source is only read, and the target is whole or empty.

`flash store accept-clock` stores what ops know of a clock. The commands `backup` and `restore` are in `flash/commands/store/backup.py`.
"""

import sys
import time
from typing import Annotated

import typer

from flash.commands.session import Data, one_line_errors, settings_for
from flash.commands.store.backup import backup, restore
from flash.process.compose import store_url
from flash.process.settings import BadSetting
from runtime.database_urls import sqlite_file
from servers.maintenance.clock_correction import accept_clock
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


@app.command("accept-clock")
def accept(
    server: Annotated[str, typer.Argument(help="h1, h2… or global.")],
    first: Annotated[
        int | None,
        typer.Option("--from", metavar="POSITION", min=1, help="Where the right times begin, as `flash audit verify` says."),
    ] = None,
    data: Data = None,
) -> None:
    """Accept that a stopped server's clock was ahead and is right now: from POSITION on, or from the next event, times begin anew. Without
    this, `flash audit verify` calls those events backdated."""
    with one_line_errors():
        settings = settings_for(data)
        done = accept_clock(server, store_url(settings, server), settings.keys_url, first, time.time())
    typer.echo(
        f"{server}: times before position {done.first} are {done.ahead_s:.0f} s ahead, which is accepted with position {done.position}"
    )


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{line}", err=True, nl=False)
