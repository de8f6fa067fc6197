"""`flash store backup` and `flash store restore`. Rule: nothing is overwritten.

Servers run during a backup and must be stopped during a restore. A backup is a directory in the shape of the data directory: a store for
each server, their keys in `keys/`, and the embedded broker's file.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.embedded.reader import EmbeddedReader
from clients.command_line.screen import complain
from domain.registry.registered_home import GLOBAL
from flash.commands.session import Data, global_key, one_line_errors, open_history, servers_in, settings_for, speaks_for_of
from flash.process.compose import signing_key, store_url
from flash.process.settings import Settings
from servers.maintenance.backup import back_up_broker, back_up_file, back_up_keys, back_up_log
from servers.maintenance.restore import restore as restore_log
from servers.trust.publications import HistoryJudge

BROKER = "broker.db"
SIGNING_KEY = "signing-key.pem"  # its name in a backup

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The backup.")]
Servers = Annotated[list[str] | None, typer.Argument(metavar="[SERVER]...", help="Homes, or `global`; without a name, all there are.")]
Keys = Annotated[
    Path | None, typer.Option("--keys", metavar="DIR", help="Where the keys of the backup lie (DIR/keys); another disk is better.")
]


def backup(
    directory: Directory,
    servers: Servers = None,
    keys: Keys = None,
    without_keys: Annotated[bool, typer.Option("--without-keys", help="No keys: for a role or a person who must not see them.")] = False,
    only_keys: Annotated[bool, typer.Option("--only-keys", help="Only the keys: small, and worth doing often.")] = False,
    data: Data = None,
) -> None:
    """Back up servers while they run: events, tracking positions, keys, the signing key, and the embedded broker's file."""
    with one_line_errors():
        settings = settings_for(data)
        names = servers or servers_in(settings.data, "back up", settings.store_url)
        places = keys or directory / "keys"
        for name in names:
            url = store_url(settings, name)
            if not only_keys:
                done = back_up_log(name, url, directory / f"{name}.db")
                typer.echo(f"{name}: {done.events} events, up to position {done.last}")
            if without_keys:
                continue
            count = back_up_keys(name, settings.keys_url, url, places / f"{name}.db")
            typer.echo(f"{name}: {count} keys")
            if name == GLOBAL and (key := signing_key(settings)).exists():
                back_up_file(key, places / SIGNING_KEY)
                typer.echo(f"{name}: the signing key")
        if not only_keys and not settings.broker_url and (settings.data / BROKER).exists():
            # Last, because the history must hold every event that the stores hold.
            back_up_broker(settings.data / BROKER, directory / BROKER)
            typer.echo("the embedded broker, with the history")


def restore(
    directory: Directory,
    servers: Servers = None,
    keys: Keys = None,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Go on although events are missing.")] = False,
    data: Data = None,
) -> None:
    """Restore servers from a backup, and later events from the history. The servers must be stopped, and their stores must be empty."""
    with one_line_errors():
        settings = settings_for(data)
        names = servers or servers_in(directory, "restore")
        asyncio.run(_restore(settings, directory, keys or directory / "keys", names, incomplete))


async def _restore(settings: Settings, directory: Path, keys: Path, names: list[str], incomplete: bool) -> None:
    settings.data.mkdir(parents=True, exist_ok=True)
    if not settings.broker_url and not (settings.data / BROKER).exists() and (directory / BROKER).exists():
        back_up_file(directory / BROKER, settings.data / BROKER)
        typer.echo("the embedded broker: put back")
    async with contextlib.AsyncExitStack() as stack:
        history: Any = await open_history(settings, stack)
        if isinstance(history, EmbeddedReader):
            typer.echo(f"the history: {settings.data / BROKER}")
        for name in names:
            saved_keys = keys / f"{name}.db"
            done = await restore_log(
                name,
                directory / f"{name}.db",
                saved_keys if saved_keys.exists() else None,
                store_url(settings, name),
                settings.keys_url,
                settings.data / name,
                history,
                time.time(),
                incomplete,
                complain,
                HistoryJudge(global_key(settings), speaks_for_of(history)),
            )
            typer.echo(f"{name}: {done.from_backup} events of the backup, up to position {done.backed_up}")
            typer.echo(f"{name}: {done.from_history} events of the history, up to position {done.last}; goes on at {done.continues_at}")
            if done.unreadable:
                complain(f"{name}: the keys of {done.unreadable} people are missing, so their names and texts read as erased")
            key = signing_key(settings)
            if name == GLOBAL and not key.exists() and (keys / SIGNING_KEY).exists():
                back_up_file(keys / SIGNING_KEY, key)
                typer.echo(f"{name}: the signing key")
