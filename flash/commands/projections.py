"""`flash projections rebuild`: folds a home's read models from its log again. Rule: the result equals what the running home has."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from domain.errors import FlashError
from flash.process.compose import store_url
from flash.process.settings import BadSetting, Settings
from servers.maintenance.rebuild_projections import rebuild_projections

app = typer.Typer(help="The read models of a home.", no_args_is_help=True)


@app.callback()
def projections() -> None:
    """The read models of a home."""


@app.command()
def rebuild(
    home: Annotated[str, typer.Argument(help="The home's name.")],
    data: Annotated[Path | None, typer.Option(help="The data directory (default: FLASH_DATA_DIR, else ./data).")] = None,
) -> None:
    """Throw a home's checkpoints away, fold its log from the start, and say whether the result equals what the checkpoints held."""
    try:
        settings = Settings.read(os.environ)
        if data is not None:
            settings = dataclasses.replace(settings, data=data)
        if not settings.store_url and not (settings.data / f"{home}.db").exists():
            raise BadSetting(f"there is no home {home!r} in {settings.data}")
        for line in uvloop.run(rebuild_projections(store_url(settings, home), home, settings.data / home, settings.keys_url)):
            typer.echo(line)
    except (BadSetting, FlashError, OSError) as error:
        typer.echo(f"flash: {error}", err=True)
        raise typer.Exit(1) from None
