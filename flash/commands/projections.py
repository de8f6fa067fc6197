"""`flash projections rebuild`: folds a home's read models from its log again. Rule: the result equals what the running home has."""

from typing import Annotated

import typer
import uvloop

from flash.commands.session import Data, one_line_errors, settings_for
from flash.process.compose import store_url
from flash.process.settings import BadSetting
from servers.maintenance.rebuild_projections import rebuild_projections

app = typer.Typer(help="The read models of a home.", no_args_is_help=True)


@app.callback()
def projections() -> None:
    """The read models of a home."""


@app.command()
def rebuild(
    home: Annotated[str, typer.Argument(help="The home's name.")],
    data: Data = None,
) -> None:
    """Throw a home's checkpoints away, fold its log from the start, and say whether the result equals what the checkpoints held."""
    with one_line_errors():
        settings = settings_for(data)
        if not settings.store_url and not (settings.data / f"{home}.db").exists():
            raise BadSetting(f"there is no home {home!r} in {settings.data}")
        for line in uvloop.run(rebuild_projections(store_url(settings, home), home, settings.data / home, settings.keys_url)):
            typer.echo(line)
