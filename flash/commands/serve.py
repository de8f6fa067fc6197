"""`flash serve`, `flash global`, `flash home`: run servers until a signal. Rule: what cannot start says why in one line and exits 1."""

import argparse
import asyncio
import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import uvloop

from domain.errors import FlashError, Unavailable
from domain.registry.registered_home import GLOBAL
from flash.commands.names import SERVER_COMMANDS
from flash.process.compose import cancelled_when_told_to_stop, rabbit, running_all, running_global, running_home, until_told_to_stop
from flash.process.logs import set_up_logs
from flash.process.settings import BadSetting, Settings
from flash.process.watchdog import leave_within
from servers.store.log.lease import LeaseLost
from servers.trust.enrolment import Secret

SHORTEST_HEARTBEAT_S = 2.0  # with less, a busy moment would look like death
NEWCOMERS = (("user add YOUR_HANDLE",), ("listen",))  # what people type in other shells to join
INTERRUPTED = 130  # the exit code that shells expect after Ctrl-C


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Report bad usage in one line."""
        self.exit(2, f"flash: {message}\n")


def run(arguments: Sequence[str]) -> int:
    """Run a server command to its end. Returns the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = Settings.read(os.environ)
        set_up_logs(settings.log_level, settings.log_format)
        uvloop.run(chosen.run(settings, chosen))
    except KeyboardInterrupt:
        return INTERRUPTED
    except asyncio.CancelledError:  # the server was told to stop while it started or stood by
        return 0
    except (BadSetting, FlashError, OSError) as error:
        print(f"flash: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="flash")
    commands = parser.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name, help=about, description=about) for name, about in SERVER_COMMANDS.items()}
    made["serve"].add_argument("--homes", type=_number(1, 100), default=2, help="how many Home Servers (2)")
    made["serve"].add_argument(
        "--port", type=_number(1, 65_000), default=8080, help="the Global Server's port (8080); the homes take the ports after it"
    )
    made["serve"].add_argument("--data", type=Path, help="where everything is kept (FLASH_DATA_DIR, else ./data)")
    made["serve"].add_argument("--demo", action="store_true", help="register ann and bob, and let ann's popup arrive at bob's")
    made["global"].add_argument("--port", type=_number(1, 65_535), default=8080, help="the port to listen on (8080)")
    made["home"].add_argument("name", help="the home's name for ever, e.g. h1")
    made["home"].add_argument("--port", type=_number(1, 65_535), default=8081, help="the port to listen on (8081)")
    made["home"].add_argument("--enroll", type=_secret, metavar="SECRET", help="what `flash enroll` printed for it (FLASH_ENROLL)")
    for name, server in (("serve", _serve), ("global", _global), ("home", _home)):
        made[name].set_defaults(run=server)
    return parser


def _secret(text: str) -> Secret:
    try:
        return Secret.read(text)
    except ValueError:
        raise argparse.ArgumentTypeError("expected what `flash enroll` printed") from None


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}")
        return int(text)

    return parse


async def _serve(settings: Settings, chosen: argparse.Namespace) -> None:
    if chosen.data is not None:
        settings = dataclasses.replace(settings, data=chosen.data)
    if settings.store_url or settings.keys_url or settings.public_url:
        raise BadSetting("FLASH_STORE_URL, FLASH_KEYS_URL and FLASH_PUBLIC_URL are for `flash global` and `flash home`; unset them")
    server = f"http://127.0.0.1:{chosen.port}"
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(running_all(settings, chosen.homes, chosen.port))
        lines: Sequence[Sequence[str]] = NEWCOMERS
        if chosen.demo:
            from flash.commands.demo import demo  # it loads a client and its windows, 6 MB that a server without the demo does not need

            lines = await stack.enter_async_context(demo(server, settings.data / "demo", _say))
        _say(f"Flash serves at {server} (Ctrl-C stops it). Join from other shells:")
        for line in lines:
            _say("  " + " && ".join(f"FLASH_SERVER={server} .venv/bin/flash {command}" for command in line))
        await until_told_to_stop()


async def _global(settings: Settings, chosen: argparse.Namespace) -> None:
    async with contextlib.AsyncExitStack() as stack:
        broker = rabbit(settings, GLOBAL)
        await broker.start()
        stack.push_async_callback(broker.close)
        with cancelled_when_told_to_stop():
            keeper = (await stack.enter_async_context(running_global(settings, chosen.port, broker))).lifecycle.keeper
        await until_told_to_stop(keeper.over.wait())
        if keeper.over.is_set():
            leave_within()
            raise Unavailable(keeper.waits)


async def _home(settings: Settings, chosen: argparse.Namespace) -> None:
    if chosen.enroll is not None:
        settings = dataclasses.replace(settings, enroll=chosen.enroll)
    if settings.enroll is not None and settings.enroll.home != chosen.name:
        raise BadSetting(f"FLASH_ENROLL: this secret is for {settings.enroll.home}, not for {chosen.name}")
    async with contextlib.AsyncExitStack() as stack:
        # The queue of a home that hangs must be free when its standby takes over, and RabbitMQ waits for two heartbeats.
        heartbeat_s = max(settings.lease_s / 2, SHORTEST_HEARTBEAT_S) if settings.store_url else None
        broker = rabbit(settings, chosen.name, heartbeat_s)
        await broker.start()
        stack.push_async_callback(broker.close)
        with cancelled_when_told_to_stop():
            home = await stack.enter_async_context(running_home(settings, chosen.name, chosen.port, broker))
        lease, keeper = home.lifecycle.lease, home.lifecycle.keeper
        await until_told_to_stop(keeper.over.wait(), *(() if lease is None else (lease.lost.wait(),)))
        if lease is not None and lease.lost.is_set():
            leave_within()
            raise LeaseLost
        if keeper.over.is_set():
            leave_within()
            raise Unavailable(keeper.waits)


def _say(line: str) -> None:
    print(line, flush=True)
