"""What the commands share: settings, the history, the audit, and one line for each failure.

Rule: no command reads a server's memory.

Exit codes are those of every command: 0 done, 1 refused or unavailable, 2 bad usage.
"""

import asyncio
import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.embedded.reader import EmbeddedReader
from clients.command_line.running import BadUsage, stop_writing
from clients.command_line.screen import complain
from domain.errors import FlashError, Unavailable
from domain.registry.registered_home import GLOBAL, HOME_NAME
from flash.commands.moments import moment
from flash.process.compose import keys_directory, rabbit, store_url
from flash.process.logs import set_up_logs
from flash.process.settings import BadSetting, Settings
from projections.audit.rows import Person
from servers.audit.audit import Audit
from servers.audit.decoder import HistoryDecoder
from servers.audit.own_key import own_key
from servers.encryption.key_store import KeyStore
from servers.encryption.key_tables import existing_table, keys_file, open_keys
from servers.store.databases import is_log
from servers.trust.publications import SpeaksFor, anybody
from servers.trust.records import GLOBAL_KEY

CONNECT_S = 10.0  # a live broker answers within a second

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="The data directory (FLASH_DATA_DIR, else ./data).")]
StoreFile = Annotated[Path | None, typer.Option("--store", metavar="FILE", help="Where the audit keeps its index (DATA/audit.db).")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines, for programs.")]
WithText = Annotated[bool, typer.Option("--text", help="Also what people wrote and what they are called.")]
User = Annotated[str, typer.Option("--user", metavar="WHO", help="A handle or a uid.")]
At = Annotated[str, typer.Option("--at", metavar="TIME", help="The moment: RFC 3339, or e.g. 21:15, 10m (ago), now.")]


def perform(work: Callable[[Audit], Coroutine[Any, Any, None]], data: Path | None, store: Path | None, *, text: bool = False) -> None:
    """Run `work` on an audit that has caught up with the history. `text`: the audit may use the keys."""

    async def run() -> None:
        async with _opened(data, store, text) as audit:
            await work(audit)

    with one_line_errors():
        asyncio.run(run())


@contextlib.contextmanager
def one_line_errors(exit_code: int = 1) -> Iterator[None]:
    """Make one line on standard error and `exit_code` of every foreseen failure."""
    try:
        yield
        return
    except BrokenPipeError:
        stop_writing()
    except (FlashError, OSError, ValueError) as error:
        complain(str(error))
    raise typer.Exit(exit_code)


def settings_for(data: Path | None) -> Settings:
    """The settings of a command; `data` replaces the data directory. Raises `BadSetting`."""
    settings = Settings.read(os.environ)
    set_up_logs("error", settings.log_format)  # a command prints itself what its user must know
    return settings if data is None else dataclasses.replace(settings, data=data)


def servers_in(directory: Path, action: str, store_url: str = "", hint: str = "") -> list[str]:
    """The servers whose stores lie in `directory`, for a command that was given no names. Raises `BadUsage`."""
    if store_url:
        raise BadUsage(f"name the servers to {action}: FLASH_STORE_URL does not say which there are")
    found = [path.stem for path in sorted(directory.glob("*.db")) if is_log(f"sqlite:///{path}", path.stem)]
    if not found:
        raise BadUsage(f"there is no server's store in {directory}{hint}")
    return found


async def open_history(settings: Settings, stack: contextlib.AsyncExitStack) -> Any:
    """A reader of the history stream, closed with `stack`; None where there is no history. Raises `Unavailable`."""
    if settings.broker_url:
        broker = rabbit(settings, "audit")
        await broker.start()
        stack.push_async_callback(broker.close)
        await broker.wait_connected(CONNECT_S)
        return broker
    return EmbeddedReader(settings.data / "broker.db") if (settings.data / "broker.db").exists() else None


def global_key(settings: Settings) -> bytes:
    """The Global Server's key as a server whose keys lie here knows it; empty where none of them can be read."""
    names = [GLOBAL, *sorted(path.stem for path in settings.data.glob("keys/*.db"))]
    for name in names:
        with contextlib.suppress(Unavailable):
            table = existing_table(settings.keys_url, store_url(settings, name), name)
            if table is not None:
                with contextlib.closing(table):
                    if key := table.records(GLOBAL_KEY).get(GLOBAL_KEY):
                        return key
    return b""


def speaks_for_of(history: Any) -> SpeaksFor:
    """Who may publish in whose name, by the rule of the broker whose history it is."""
    return getattr(history, "speaks_for", anybody)


@contextlib.asynccontextmanager
async def _opened(data: Path | None, store: Path | None, text: bool) -> AsyncIterator[Audit]:
    settings = settings_for(data)
    async with contextlib.AsyncExitStack() as stack:
        history = await open_history(settings, stack)
        if history is None:
            raise BadSetting(f"there is no history in {settings.data}: set FLASH_BROKER_URL, or name the directory of `flash serve`")
        opened = stack.enter_context(contextlib.ExitStack())  # the keys are closed after the audit that asks for them
        decoder = HistoryDecoder(functools.partial(_keys_of, settings, opened)) if text else None
        file = store if store is not None else settings.data / "audit.db"
        audit = Audit(history, file, decoder, functools.partial(global_key, settings), speaks_for_of(history),
                      functools.partial(own_key, keys_directory(settings)))  # fmt: skip
        await audit.open()
        stack.push_async_callback(audit.stop)
        await audit.catch_up()
        yield audit


def _keys_of(settings: Settings, opened: contextlib.ExitStack, server: str) -> KeyStore:
    """The keys of a server, which `opened` closes. Where there are none, no file is made. Raises `Unavailable` when this user may not read
    them."""
    if not HOME_NAME.fullmatch(server):
        raise Unavailable(f"--text: {server!r} is not the name of a server")
    file = keys_file(settings.keys_url, store_url(settings, server))
    if file is not None and not os.access(file, os.R_OK | os.W_OK):  # SQLite writes beside a database even when it only reads
        raise Unavailable(f"--text: the keys of {server} cannot be read here: {file} (FLASH_KEYS_URL)")
    return opened.enter_context(contextlib.closing(open_keys(settings.keys_url, store_url(settings, server), server)))


def at(text: str, option: str = "--at") -> float:
    """The moment that `text` names, in seconds since 1970. Raises `BadUsage`."""
    try:
        return moment(text, time.time())
    except ValueError as error:
        raise BadUsage(f"{option}: {error}") from None


async def who(audit: Audit, user: str) -> Person:
    """The user that `user` names: a uid or a handle. A handle never begins with a digit. Raises `UnknownUser`."""
    return await (audit.person(int(user)) if user.isdecimal() and len(user) < 19 else audit.by_handle(user))
