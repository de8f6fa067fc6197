"""`flash top`: who uses the servers most, live. Rule: what a server was not asked, or did not say, is shown so, and never as zeros."""

import asyncio
import contextlib
import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from clients.command_line.screen import clean
from clients.terminal.options import DEFAULT_SERVER, As, Server, perform_as
from flash_sdk import FlashClient, Heavy, ServerLoad, Throttle

EVERY_S = 2.0
UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"))
COLUMNS = ("SERVER", "WHO", "", "CPU", "BYTES", "WAITED")

Once = Annotated[bool, typer.Option("--once", help="Print one table and end.")]
Kind = Annotated[str, typer.Option("--kind", metavar="KIND", help="Only user, address or home.", show_default=False)]


def top(
    once: Once = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per server, once, for programs.")] = False,
    kind: Kind = "",
    rows: Annotated[int, typer.Option("--rows", min=1, max=90, help="So many rows for each server.")] = 10,
    me: As = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """For ops: the users, addresses and homes that used most of each server in the last minute, until Ctrl-C."""

    async def show(client: FlashClient) -> None:
        servers, throttles = await client.ops.heavy()
        if as_json:
            for each in servers:
                typer.echo(json.dumps(dataclasses.asdict(each)))
        elif once:
            Console(highlight=False).print(screen(servers, throttles, kind, rows))
        else:
            with contextlib.suppress(asyncio.CancelledError), Live(screen(servers, throttles, kind, rows), auto_refresh=False) as live:
                while True:
                    await asyncio.sleep(EVERY_S)
                    live.update(screen(*await client.ops.heavy(), kind, rows), refresh=True)

    perform_as(me, server, show)


def screen(servers: list[ServerLoad], throttles: list[Throttle], kind: str, rows: int) -> Group:
    """One table of all servers, and who has turns at a tenth."""
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(COLUMNS):
        table.add_column(heading, justify="right" if number > 2 else "left", no_wrap=True)
    for server in servers:
        if not server.answers:
            table.add_row(clean(server.server), Text("does not answer", "red"), "", "–", "–", "–")
            continue
        waits = f"{server.waiting} held back" if server.waiting else ""
        table.add_row(clean(server.server), Text("all", "bold"), waits, f"{server.cpu_s:.2f} s", "", "", style="bold")
        shown = [each for each in server.heaviest if kind in ("", each.kind)]
        for each in sorted(shown, key=lambda heavy: heavy.cpu_s, reverse=True)[:rows]:
            table.add_row("", clean(each.who), each.kind, *_figures(each))
    told = [Text(clean(f"{each.kind} {each.who} has turns at a tenth until {each.until[:19]}Z, by {each.by}")) for each in throttles]
    return Group(table, *told)


def _figures(each: Heavy) -> tuple[str, str, str]:
    return f"{each.cpu_s:.2f} s", _size(each.bytes), f"{each.waited_s:.1f} s"


def _size(size: int) -> str:
    for unit, name in UNITS:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"
