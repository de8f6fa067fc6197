"""The `flash` command. Rule: bad usage exits 2 with one line, a refusal exits 1 with its reason, and nobody ever sees a traceback.

`flash/commands/serve.py` starts servers without a command-line library, because in a process that runs for months such a library would
take a fifth of the memory. All other commands are for people and live in `flash/commands` and `clients/terminal`.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from flash.commands.names import SERVER_COMMANDS

if TYPE_CHECKING:
    import typer

CERTIFICATES = "SSL_CERT_FILE"  # the variable in which OpenSSL looks for CA certificates


def people() -> "typer.Typer":
    """The command line of people. Its help lists the server commands, too."""
    import typer

    from clients.terminal.app import app as terminal
    from clients.tk.app import app as windows
    from flash.commands import projections as projections_command
    from flash.commands.audit import command as audit_command
    from flash.commands.doctor import command as doctor_command
    from flash.commands.servers import command as servers_command
    from flash.commands.servers.enroll import enroll
    from flash.commands.store import command as store_command

    app = typer.Typer(
        name="flash",
        help="Popup messages that arrive at once, through any firewall.",
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, about in SERVER_COMMANDS.items():
        app.command(name, help=about, rich_help_panel="Servers")(_server_command(name))
    app.add_typer(audit_command.app, name="audit")
    app.add_typer(projections_command.app, name="projections")
    app.add_typer(store_command.app, name="store")
    app.add_typer(servers_command.app, name="servers")
    app.command()(enroll)
    app.command()(doctor_command.doctor)
    app.add_typer(terminal)
    app.add_typer(windows)

    @app.callback()
    def program(
        version: bool = typer.Option(False, "--version", help="Print the version and end.", callback=_print_version, is_eager=True),
    ) -> None:
        """The options of `flash` itself."""

    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. The installed program enters here."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in SERVER_COMMANDS:
        sys.modules["rich"] = None  # type: ignore[assignment]  # structlog loads it for coloured tracebacks, which servers never print: 5 MB
        with _no_certificates():
            from flash.commands import serve

        sys.exit(serve.run(arguments))
    from clients.command_line.running import run

    sys.exit(run(people(), arguments))


def _server_command(name: str) -> Callable[[], None]:
    """The entry of a server command in the help of people. `main` starts servers before this command line is made."""

    def start() -> None:
        main([name])

    return start


def _print_version(wanted: bool) -> None:
    import importlib.metadata

    import typer

    if wanted:
        typer.echo(f"flash {importlib.metadata.version('flash')}")
        raise typer.Exit


@contextlib.contextmanager
def _no_certificates() -> Iterator[None]:
    """Hide the CA certificates of the system. aiohttp's client, which no server uses, would load 140 of them on import: 3 MB."""
    set_before = os.environ.get(CERTIFICATES)
    os.environ[CERTIFICATES] = os.devnull
    try:
        yield
    finally:
        del os.environ[CERTIFICATES]
        if set_before is not None:
            os.environ[CERTIFICATES] = set_before
