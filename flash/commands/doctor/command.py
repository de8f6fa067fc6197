"""`flash doctor`: is everything around a server as the server needs it? Rule: one line a check; the exit code is 1 when a check fails."""

import asyncio
import json
import os
from typing import Annotated

import typer

from clients.terminal.grants import Grants
from clients.terminal.options import DEFAULT_SERVER, Server
from domain.registry.registered_home import GLOBAL
from flash.commands.doctor.machine import FAILURE, OK, Remark, address_remarks, descriptor_remarks, files_remarks, settings_remarks
from flash.commands.doctor.services import broker_remarks, store_remarks
from flash.commands.doctor.stream import stream_remarks
from flash.commands.doctor.trust import trust_remarks
from flash.commands.session import AsJson, Data, one_line_errors, settings_for
from flash.process.settings import Settings
from flash_sdk import Grant

PORTS = {GLOBAL: 8080}  # the defaults of `flash global` and `flash home`
HOME_PORT = 8081


def doctor(
    server: Annotated[str, typer.Argument(help="The server whose surroundings are examined: a home's name, or `global`.")] = GLOBAL,
    port: Annotated[int | None, typer.Option(help="Its port (8080 for global, 8081 for a home).")] = None,
    who: Annotated[
        str | None, typer.Option("--as", metavar="ME", help="Open the back connection of this user, logged in here, and wait for a blank.")
    ] = None,
    through: Annotated[
        str | None,
        typer.Option("--through", metavar="URL", help="Where to open it, if not at FLASH_PUBLIC_URL; it acts for the last `flash login`."),
    ] = None,
    at: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Look at settings, files, limits, ports, clock, store and broker, with the server's own settings, and say what to do."""
    grant = Grants(at).get(who) if who or through else None
    with one_line_errors():
        remarks = asyncio.run(_examine(settings_for(data), server, port or PORTS.get(server, HOME_PORT), grant, through))
    for remark in remarks:
        if as_json:
            typer.echo(json.dumps(remark._asdict()))
        else:
            typer.echo(f"{remark.state:8}{remark.check}: {remark.says}" + (f" → {remark.do}" if remark.do else ""))
    if any(remark.state == FAILURE for remark in remarks):
        raise typer.Exit(1)
    if not as_json and all(remark.state == OK for remark in remarks):
        typer.echo("all is well")


async def _examine(settings: Settings, server: str, port: int, grant: Grant | None, through: str | None) -> list[Remark]:
    remarks = [
        *settings_remarks(settings, server),
        *files_remarks(settings, server, os.environ),
        *descriptor_remarks(settings),
        *await asyncio.to_thread(lambda: list(store_remarks(settings, server))),
        *await asyncio.to_thread(lambda: list(trust_remarks(settings, server))),
    ]
    remarks += [remark async for remark in broker_remarks(settings, server)]
    remarks += await asyncio.to_thread(lambda: list(address_remarks(settings, server, port)))
    if grant is not None:
        remarks += [remark async for remark in stream_remarks(settings, server, port, grant, through)]
    return remarks
