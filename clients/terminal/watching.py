"""`flash watch`: presence for integrators, as it changes. Rule: one line per item; with --json one object per line."""

import asyncio
import contextlib
import dataclasses
import json
from datetime import datetime
from typing import Annotated, Any

import typer

from clients.command_line.screen import complain, say
from clients.terminal.contacts import STYLES
from clients.terminal.options import DEFAULT_SERVER, As, Server, perform_as
from flash_sdk import Disconnected, FeedItem, FlashClient, PresenceEvent, SilentHomes, Snapshot, Standing, Unreachable

KINDS = {Snapshot: "snapshot", PresenceEvent: "change", SilentHomes: "silent", Disconnected: "disconnected"}

Users = Annotated[list[str] | None, typer.Option("--user", metavar="HANDLE", help="Only this user; may be repeated.", show_default=False)]
After = Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on after this cursor of an earlier run.", show_default=False)]


def watch(
    user: Users = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, for programs.")] = False,
    after: After = None,
    me: As = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """For integrators: show the presence of users, then each change, until Ctrl-C."""

    async def show(client: FlashClient) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C is the usual way to end this command, so it is no error
            await _show_all(client, user or [], after, as_json)

    perform_as(me, server, show)


async def _show_all(client: FlashClient, handles: list[str], after: str | None, as_json: bool) -> None:
    uids = [(await client.by_handle(handle)).uid for handle in handles] or None
    board, met = Board(), False
    async with contextlib.aclosing(client.presence(uids=uids, after=after)) as items:
        async for item in items:
            met = met or not isinstance(item, Disconnected)
            if not met:
                raise Unreachable("no answer from the Global Server")
            if as_json:
                print(json.dumps({"kind": KINDS[type(item)], **dataclasses.asdict(item)}, default=_plain), flush=True)
            else:
                board.show(item)


def _plain(value: Any) -> str:
    return value.isoformat(timespec="microseconds").replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


class Board:
    """Prints each item in words."""

    def __init__(self) -> None:
        self._silent: tuple[str, ...] = ()

    def show(self, item: FeedItem) -> None:
        """Print the item, if it brings anything new."""
        match item:
            case Snapshot():
                if item.gap:
                    complain("changes were missed; this is the present status of everybody")
                self._silent = item.silent
                for user in sorted(item.users, key=lambda user: user.handle):
                    self._row(user)
            case PresenceEvent():
                style = STYLES.get(item.status, "dim")
                say(_time(item.time), " ", (item.handle, "bold"), " is ", (item.status, style), f" (was {item.previous}: {item.reason})")
            case SilentHomes():
                for home in set(item.homes) - set(self._silent):
                    complain(f"nothing is heard of {home}: the status of its users is unknown")
                for home in set(self._silent) - set(item.homes):
                    complain(f"{home} is back")
                self._silent = item.homes
            case Disconnected():
                complain(f"the connection was lost ({item.reason}); trying again in {item.retry_in_s or 0:.0f} s")

    def _row(self, user: Standing) -> None:
        status = "unknown" if user.home in self._silent else user.status
        since = f" since {user.since.astimezone():%Y-%m-%d %H:%M:%S}" if user.since else ""
        say((f"{user.handle:<20}", "bold"), " ", (f"{status:<8}", STYLES.get(status, "dim")), f" {user.home}{since}")


def _time(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"
