"""`flash throttle`: turns at a tenth for a user, an address or a home. Rule: the Global Server does it, and notes who asked."""

import json
import re
from typing import Annotated

import typer

from clients.command_line.running import BadUsage
from clients.command_line.screen import say
from clients.terminal.options import DEFAULT_SERVER, As, Server, perform_as
from flash_sdk import FlashClient, Throttle

KINDS = ("user", "address", "home")
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

Kind = Annotated[str, typer.Argument(metavar="user|address|home|list", help="What NAME is; `list` shows who is throttled.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A handle or uid, an IP address, or the name of a home.", show_default=False)]


def throttle(
    kind: Kind,
    name: Name = "",
    last: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: e.g. 90s, 10m, 1h, 2d; 30d at most.")] = "1h",
    end: Annotated[bool, typer.Option("--end", help="Give it all turns again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With list: one JSON object per line, for programs.")] = False,
    me: As = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """For ops: let a user, an address or a home have a tenth of its turns, at every server. Nothing is dropped, and it ends by itself."""
    if kind == "list" and not name:
        _show(perform_as(me, server, lambda client: client.ops.heavy())[1], as_json)
        return
    if kind not in KINDS or not name:
        raise BadUsage("type user, address or home and a NAME, or list")
    for_s = _seconds(last)

    async def change(client: FlashClient) -> Throttle | None:
        if end:
            await client.ops.end_throttle(kind, name)
            return None
        return await client.ops.throttle(kind, name, for_s)

    throttled = perform_as(me, server, change)
    if throttled is None:
        say(f"{kind} ", (name, "bold"), " has all turns again")
    else:
        say(f"{kind} ", (throttled.who, "bold"), f" has turns at a tenth until {throttled.until[:19]}Z")


def _show(throttles: list[Throttle], as_json: bool) -> None:
    for each in throttles:
        if as_json:
            typer.echo(json.dumps({"kind": each.kind, "who": each.who, "until": each.until, "by": each.by}))
        else:
            say(f"{each.kind:8} ", (each.who, "bold"), f" until {each.until[:19]}Z, by {each.by}")
    if not throttles and not as_json:
        say("nobody is throttled")


def _seconds(text: str) -> int:
    read = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if read is None or not 1 <= int(read[1]) * SECONDS[read[2]] <= 30 * SECONDS["d"]:
        raise BadUsage("--for: expected a time such as 90s, 10m, 1h or 2d, 30d at most")
    return int(read[1]) * SECONDS[read[2]]
