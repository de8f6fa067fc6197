"""`flash audit verify`: is the history genuine?

Rule: nothing is written, no server is asked, and the output names what could not be checked.

Exit codes: 0 honest, 1 tampered with, 2 bad usage or nothing that could be verified.
"""

import asyncio
import contextlib
import dataclasses
import functools
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

import typer

from broker import topology
from clients.command_line.running import BadUsage
from clients.command_line.screen import complain
from domain.errors import Malformed
from domain.registry.registered_home import GLOBAL
from flash.commands.session import AsJson, Data, global_key, one_line_errors, open_history, settings_for, speaks_for_of
from flash.process.compose import store_url
from flash.process.settings import Settings
from runtime.database_urls import sqlite_file
from servers.encryption.key_tables import KeysSeen, keys_file, keys_seen
from servers.integrity.expected import logs_in, missing_logs, traces_in
from servers.integrity.findings import Finding
from servers.integrity.residents import Residents
from servers.integrity.signers import signers
from servers.integrity.verify import History, Report
from servers.integrity.verify import verify as verify_log
from servers.store.databases import is_log
from servers.trust.publications import Altered, HistoryJudge
from servers.trust.server_identity import NotBelieved

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
        residents = Residents(global_store or _global_url(settings))
        judge = HistoryJudge(global_key(settings))
        history = asyncio.run(_history(settings, residents, judge)) if with_history else {}
        missing = _missing(settings, servers, history) if store is None and not settings.store_url else {}
        names = servers or _found(settings, missing)
        honest = not missing
        for name in names:
            if name in missing:
                _show_missing(name, missing[name], as_json)
                continue
            url = store or store_url(settings, name)
            copies = None if name == GLOBAL else global_store or _global_url(settings)
            keys = functools.partial(_keys, settings, url, name)
            files = sorted((settings.data / name).glob("*.projection"))
            told = history.get(name) or (History(name) if history else None)
            by = signers(name, global_store or _global_url(settings), judge.global_key) | judge.keys_of(name)
            report = verify_log(name, url, copies, told, residents=residents, keys=keys, checkpoints=files, signers=by)
            _show(report, copies is not None or name == GLOBAL, told is not None, as_json)
            honest = honest and report.honest
    if not honest:
        raise typer.Exit(1)


def _missing(settings: Settings, named: Sequence[str] | None, history: Mapping[str, History]) -> dict[str, Finding]:
    """The servers whose logs should lie in the data directory, and do not. The history names them where it lies there, too."""
    together = not settings.broker_url
    told = {name: each.events.last for name, each in history.items()} if together else {}
    found = missing_logs(logs_in(settings.data), traces_in(settings.data), told)
    return {name: finding for name, finding in found.items() if not named or name in named}


def _keys(settings: Settings, url: str, name: str) -> KeysSeen:
    """Look at the keys. Raises `Unavailable` where this user may not, or where no keys were."""
    file = keys_file(settings.keys_url, url)
    if file is not None and not file.exists() and not settings.keys_url and (settings.data / f"{name}.lock").exists():
        return KeysSeen({}, None)  # a server has worked here, so its keys lay here
    return keys_seen(settings.keys_url, url, name)


def _found(settings: Settings, missing: Collection[str]) -> list[str]:
    """The servers whose stores lie in the data directory, or should. Raises `BadUsage`."""
    if settings.store_url:
        raise BadUsage("name the servers to verify: FLASH_STORE_URL does not say which there are")
    found = sorted({*logs_in(settings.data), *missing})
    if not found:
        raise BadUsage(f"there is no server's store in {settings.data}: name the directory with --data, or a store with --store")
    return found


def _global_url(settings: Settings) -> str | None:
    """Where the Global Server's store is likely to be: in another schema of the same database, or beside the home's."""
    one_for_all = settings.store_url and sqlite_file(settings.store_url) is None
    url = settings.store_url if one_for_all else f"sqlite:///{settings.data / GLOBAL}.db"
    return url if is_log(url, GLOBAL) else None


async def _history(settings: Settings, residents: Residents, judge: HistoryJudge) -> dict[str, History]:
    """The events of each server in the history stream; an empty dictionary where there is no stream. `residents` learn from it where users
    live. Raises `Unavailable`."""
    async with contextlib.AsyncExitStack() as stack:
        reader = await open_history(settings, stack)
        histories: dict[str, History] = {}
        if reader is None:
            return histories
        judge.speaks_for = speaks_for_of(reader)
        whole: bool | None = None
        async for item in reader.read_stream(topology.HISTORY, "first", follow=False):
            whole = item.offset == 0 if whole is None else whole
            try:
                told = judge.read(item)
            except Malformed:  # others may publish junk here; an event that is missing because of it becomes a finding
                complain(f"the history's message {item.offset} cannot be read and was skipped")
                continue
            except Altered as refusal:
                complain(f"the history's message {item.offset}: {refusal}")
                histories.setdefault(refusal.told.source, History(refusal.told.source)).hear_altered(refusal.told)
                continue
            except NotBelieved as refusal:
                complain(f"the history's message {item.offset} is not believed and was skipped: {refusal}")
                continue
            if (history := histories.get(told.source)) is None:
                history = histories[told.source] = History(told.source)
                history.events.whole = bool(whole)
            history.hear(told)
            if told.source == GLOBAL:
                for record in told.events:
                    residents.learn(record.topic, record.data)
        if judge.unsigned:
            complain(f"the history: {judge.unsigned} messages of before its first era are unsigned: only the broker vouches for them")
        if judge.unproven:
            complain(f"the history: {judge.unproven} messages could not be proven, because the Global Server's key is not known here")
        return histories


def _show_missing(name: str, finding: Finding, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"server": name, "honest": False, "findings": [_plain(finding)]}))
        return
    typer.echo(f"{name}: {finding}")
    typer.echo(f"{name}: TAMPERED WITH, findings: 1")


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
    missing += report.not_asked
    typer.echo(f"{name}: asked {', '.join(asked)}" + (f"; not asked: {', '.join(missing)}" if missing else ""))
    for finding in report.findings:
        typer.echo(f"{name}: {finding}")
    if report.more:
        typer.echo(f"{name}: {report.more} more positions differ")
    typer.echo(f"{name}: " + ("honest" if report.honest else f"TAMPERED WITH, findings: {len(report.findings)}"))


def _plain(finding: Finding) -> dict[str, Any]:
    return {**dataclasses.asdict(finding), "says": sorted(finding.says)}
