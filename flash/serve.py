"""`flash serve`, `flash global`, `flash home`: run servers until told to stop. Rule: what cannot start says why in one line and exits 1."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

import flash_sdk
from domain.errors import FlashError
from flash.compose import rabbit, running_all, running_global, running_home, until_told_to_stop
from flash.demo import join_lines, play_demo
from flash.logs import set_up_logs
from flash.settings import BadSetting, Settings

Port = Annotated[int, typer.Option(min=1, max=65_535, help="The port to listen on.")]


def serve(
    homes: Annotated[int, typer.Option(min=1, max=100, help="How many Home Servers.")] = 2,
    port: Annotated[int, typer.Option(min=1, max=65_000, help="The Global Server's port; the homes take the ports after it.")] = 8080,
    data: Annotated[Path | None, typer.Option(help="Where everything is kept (default: FLASH_DATA_DIR, else ./data).")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Register ann and bob, and let ann's popup arrive at bob's.")] = False,
) -> None:
    """A whole Flash in one process: a Global Server and some homes, embedded broker, SQLite."""

    async def run(settings: Settings) -> None:
        if data is not None:
            settings = dataclasses.replace(settings, data=data)
        if settings.store_url or settings.public_url:
            raise BadSetting("FLASH_STORE_URL and FLASH_PUBLIC_URL are for `flash global` and `flash home`; unset them")
        async with running_all(settings, homes, port):
            server = f"http://127.0.0.1:{port}"
            if demo:
                await play_demo(server, typer.echo)
            typer.echo(join_lines(server, demo))
            await until_told_to_stop()

    _run(run)


def global_server(port: Port = 8080) -> None:
    """The Global Server of a real installation (FLASH_BROKER_URL, FLASH_STORE_URL)."""

    async def run(settings: Settings) -> None:
        async with contextlib.AsyncExitStack() as stack:
            broker = rabbit(settings, "global")
            await broker.start()
            stack.push_async_callback(broker.close)
            await stack.enter_async_context(running_global(settings, port, broker))
            await until_told_to_stop()

    _run(run)


def home(name: Annotated[str, typer.Argument(help="The home's name for ever, e.g. h1.")], port: Port = 8081) -> None:
    """One Home Server of a real installation (FLASH_BROKER_URL, FLASH_STORE_URL, FLASH_PUBLIC_URL)."""

    async def run(settings: Settings) -> None:
        async with contextlib.AsyncExitStack() as stack:
            broker = rabbit(settings, name)
            await broker.start()
            stack.push_async_callback(broker.close)
            await stack.enter_async_context(running_home(settings, name, port, broker))
            await until_told_to_stop()

    _run(run)


def _run(server: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    try:
        settings = Settings.read(os.environ)
        set_up_logs(settings.log_level, settings.log_format)
        uvloop.run(server(settings))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (BadSetting, FlashError, flash_sdk.FlashClientError, OSError) as error:
        typer.echo(f"flash: {str(error) or type(error).__name__}", err=True)
        raise typer.Exit(1) from None
