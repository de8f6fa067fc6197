"""`flash audit verify`: is the history genuine?

Rule: nothing is written, no server is asked, and the output names what could not be checked.

Exit codes: 0 honest, 1 tampered with, 2 bad usage or nothing that could be verified.
"""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from broker import envelope, topology
from clients.command_line.running import BadUsage
from clients.command_line.screen import complain
from domain.errors import Malformed
from domain.registry.registered_home import GLOBAL
from flash.commands.session import AsJson, Data, one_line_errors, open_history, servers_in, settings_for
from flash.process.compose import store_url
from flash.process.settings import Settings
from runtime.database_urls import sqlite_file
from servers.integrity.findings import Finding
from servers.integrity.verify import History, Report
from servers.integrity.verify import verify as verify_log
from servers.store.databases import is_log

FAILED = 2
HINT = ": name the directory with --data, or a store with --store"

Url = Annotated[str | None, typer.Option("--store", metavar="URL", help="The server's store (FLASH_STORE_URL, else DATA/<server>.db).")]
GlobalUrl = Annotated[
    str | None, typer.Option("--global-store", metavar="URL", help="The Global Server's store (the same database, else DATA/global.db).")
]


def verify(
    servers: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVER]...", help="Homes, or `global`; without a name, all in DATA.")
    ] = None,
    store: Url = None,
    global_store: GlobalUrl = None,
    with_history: Annotated[bool, typer.Option("--history/--no-history", help="Also compare with the history stream's bytes.")] = True,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Compare logs with their seals, the Global Server's copies of them, and the history; name each wrong position."""
    if store is not None and len(servers or ()) != 1:
        raise BadUsage("--store: name the one server whose store it is")
    with one_line_errors(FAILED):
        settings = settings_for(data)
        names = servers or servers_in(settings.data, "verify", settings.store_url, HINT)
        history = asyncio.run(_history(settings, names)) if with_history else {}
        reports = []
        for name in names:
            copies = None if name == GLOBAL else global_store or _global_url(settings)
            reports.append(verify_log(name, store or store_url(settings, name), copies, history.get(name)))
            _show(reports[-1], copies is not None or name == GLOBAL, name in history, as_json)
    if not all(report.honest for report in reports):
        raise typer.Exit(1)


def _global_url(settings: Settings) -> str | None:
    """Where the Global Server's store is likely to be: in another schema of the same database, or beside the home's."""
    one_for_all = settings.store_url and sqlite_file(settings.store_url) is None
    url = settings.store_url if one_for_all else f"sqlite:///{settings.data / GLOBAL}.db"
    return url if is_log(url, GLOBAL) else None


async def _history(settings: Settings, names: Sequence[str]) -> dict[str, History]:
    """The events of each server in the history stream; an empty dictionary where there is no stream. Raises `Unavailable`."""
    async with contextlib.AsyncExitStack() as stack:
        reader = await open_history(settings, stack)
        if reader is None:
            return {}
        histories = {name: History(name) for name in names}
        async for item in reader.read_stream(topology.HISTORY, "first", follow=False):
            try:
                told = envelope.decode(item.body)
            except Malformed:  # others may publish junk here; an event that is missing because of it becomes a finding
                complain(f"the history's message {item.offset} cannot be read and was skipped")
                continue
            if (history := histories.get(told.source)) is not None:
                for record in told.events:
                    history.learn(record.position, record.stream, record.version, record.topic, record.data)
        return histories


def _show(report: Report, has_copies: bool, has_history: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**dataclasses.asdict(report), "honest": report.honest, "findings": [_plain(f) for f in report.findings]}))
        return
    name = report.server
    unsealed = f"not yet sealed: {report.unsealed}" + (f" (of them seals: {report.seals})" if report.seals else "")
    typer.echo(f"{name}: {report.events} events up to position {report.last}, sealed up to {report.sealed}, {unsealed}")
    asked = [f"{w.name} ({w.checked}, up to {w.last})" for w in report.witnesses]
    missing = [] if has_copies else ["the Global Server's copies"]
    missing += [] if has_history else ["the history"]
    typer.echo(f"{name}: asked {', '.join(asked)}" + (f"; not asked: {', '.join(missing)}" if missing else ""))
    for finding in report.findings:
        typer.echo(f"{name}: {finding}")
    if report.more:
        typer.echo(f"{name}: {report.more} more positions differ")
    typer.echo(f"{name}: " + ("honest" if report.honest else f"TAMPERED WITH, findings: {len(report.findings)}"))


def _plain(finding: Finding) -> dict[str, Any]:
    return {**dataclasses.asdict(finding), "says": sorted(finding.says)}
