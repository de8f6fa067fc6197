"""The options that commands share, and the user for whom they act. Rule: an option means the same in every command."""

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from clients.command_line.running import BadUsage, perform
from clients.terminal.grants import Grants
from flash_sdk import FlashClient

DEFAULT_SERVER = "http://127.0.0.1:8080"  # where `flash serve` puts the Global Server
CLIENT = "terminal/1.0"

T = TypeVar("T")
Server = Annotated[str, typer.Option("--server", envvar="FLASH_SERVER", metavar="URL", help="The Global Server.")]
As = Annotated[str | None, typer.Option("--as", metavar="ME", help="Act for this handle instead of the user of the last `flash login`.")]
Password = Annotated[
    str | None, typer.Option("--password", envvar="FLASH_PASSWORD", metavar="TEXT", help="Without it you are asked.", show_default=False)
]


def password_for(handle: str, given: str | None, *, new: bool) -> str:
    """The given password, or the one that the person at the terminal types. Raises `BadUsage` when nobody can be asked."""
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise BadUsage("a password is needed: set FLASH_PASSWORD, or use --password")
    return str(typer.prompt(f"Password for {handle}", hide_input=True, confirmation_prompt=new))


def connect(server: str) -> FlashClient:
    """A client of this server that is not logged in. Raises `BadUsage` when `server` is no URL."""
    try:
        return FlashClient(server, client=CLIENT)
    except ValueError as error:
        raise BadUsage(str(error)) from None


def perform_as(handle: str | None, server: str, work: Callable[[FlashClient], Awaitable[T]]) -> T:
    """Run work with a client that acts for a remembered user. A failure ends the command, as in `perform`."""

    async def acting() -> T:
        client = connect(server)
        grant = Grants(server).get(handle)
        async with client:
            client.use(grant)
            return await work(client)

    return perform(acting())
