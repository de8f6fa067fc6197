"""Opening the audit for one command: which history, which store, what is said when it fails.

Rule: no command reads a server's memory.

Exit codes are those of every command: 0 done, 1 refused or unavailable, 2 bad usage.
"""

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.embedded_reader import EmbeddedReader
from clients.terminal.running import BadUsage, stop_writing
from clients.terminal.screen import complain
from domain.errors import FlashError
from flash.audit_times import moment
from flash.compose import rabbit
from flash.logs import set_up_logs
from flash.settings import BadSetting, Settings
from projections.audit.rows import Person
from servers.audit import Audit

CONNECT_S = 10.0  # a broker that lives answers within a second

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="The data directory (FLASH_DATA_DIR, else ./data).")]
StoreFile = Annotated[Path | None, typer.Option("--store", metavar="FILE", help="Where the audit keeps its index (DATA/audit.db).")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines, for programs.")]
WithText = Annotated[bool, typer.Option("--text", help="Also what people wrote and what they are called.")]
User = Annotated[str, typer.Option("--user", metavar="WHO", help="A handle or a uid.")]
At = Annotated[str, typer.Option("--at", metavar="TIME", help="The moment: RFC 3339, or e.g. 21:15, 10m (ago), now.")]


def perform(work: Callable[[Audit], Coroutine[Any, Any, None]], data: Path | None, store: Path | None) -> None:
    """Run `work` on an audit that has caught up with the history. Whatever is foreseen becomes one line on standard error and
    exit code 1."""

    async def run() -> None:
        async with _opened(data, store) as audit:
            await work(audit)

    try:
        asyncio.run(run())
    except BrokenPipeError:
        stop_writing()
    except FlashError as error:
        complain(error.detail)
    except (BadSetting, OSError) as error:
        complain(str(error))
    else:
        return
    raise typer.Exit(1)


@contextlib.asynccontextmanager
async def _opened(data: Path | None, store: Path | None) -> AsyncIterator[Audit]:
    settings = Settings.read(os.environ)
    set_up_logs("error", settings.log_format)  # a command says itself what its person must know
    if data is not None:
        settings = dataclasses.replace(settings, data=data)
    async with contextlib.AsyncExitStack() as stack:
        history: Any = EmbeddedReader(settings.data / "broker.db")
        if settings.broker_url:
            history = rabbit(settings, "audit")
            await history.start()
            stack.push_async_callback(history.close)
            await history.wait_connected(CONNECT_S)
        elif not (settings.data / "broker.db").exists():
            raise BadSetting(f"there is no history in {settings.data}: set FLASH_BROKER_URL, or name the directory of `flash serve`")
        audit = Audit(history, store if store is not None else settings.data / "audit.db")
        await audit.open()
        stack.push_async_callback(audit.stop)
        await audit.catch_up()
        yield audit


def at(text: str, option: str = "--at") -> float:
    """The moment that was typed. Raises `BadUsage`."""
    try:
        return moment(text, time.time())
    except ValueError as error:
        raise BadUsage(f"{option}: {error}") from None


async def who(audit: Audit, user: str) -> Person:
    """The user that was typed: a uid, or a handle, which never begins with a digit. Raises `UnknownUser`."""
    return await (audit.person(int(user)) if user.isdecimal() and len(user) < 19 else audit.by_handle(user))
