"""The `flash` command. Rule: bad usage exits 2 with one line, a refusal exits 1 with its reason, and nobody ever sees a traceback.

`flash/commands/serve.py` starts servers and needs no command-line library, because in a process that runs for months such a library
would take a fifth of the memory. All other commands are for people and live in `flash/commands` and `clients/terminal`.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

CERTIFICATES = "SSL_CERT_FILE"  # OpenSSL's
COMMANDS = {  # the servers'
    "serve": "A whole Flash in one process: a Global Server and some homes, embedded broker, SQLite.",
    "global": "The Global Server of a real installation (FLASH_BROKER_URL, FLASH_STORE_URL).",
    "home": "One Home Server of a real installation (FLASH_BROKER_URL, FLASH_STORE_URL, FLASH_PUBLIC_URL).",
}


def people() -> "typer.Typer":
    """The command line of people; the servers are named in its help."""
    import typer

    from clients.terminal.app import app as terminal
    from clients.tk.app import app as windows
    from flash.commands import projections as projections_command
    from flash.commands.audit import command as audit_command
    from flash.commands.doctor import command as doctor_command
    from flash.commands.store import command as store_command

    names = ", ".join(f"flash {name}" for name in COMMANDS)
    app = typer.Typer(
        name="flash",
        help=f"Popup messages that arrive at once, through any firewall. Servers: {names} (each with --help).",
        no_args_is_help=True,
        add_completion=False,
    )
    app.add_typer(audit_command.app, name="audit")
    app.add_typer(projections_command.app, name="projections")
    app.add_typer(store_command.app, name="store")
    app.command()(doctor_command.doctor)
    app.add_typer(terminal)
    app.add_typer(windows)
    return app


@contextlib.contextmanager
def _no_certificates() -> Iterator[None]:
    """While it is imported, aiohttp's client, which no server uses, reads the system's 140 CA certificates: 3 MB. Here it finds none."""
    set_before = os.environ.get(CERTIFICATES)
    os.environ[CERTIFICATES] = os.devnull
    try:
        yield
    finally:
        del os.environ[CERTIFICATES]
        if set_before is not None:
            os.environ[CERTIFICATES] = set_before


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the entry point of the installed program."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        sys.modules["rich"] = None  # type: ignore[assignment]  # 5 MB that structlog loads for coloured tracebacks: servers print none
        with _no_certificates():
            from flash.commands import serve

        sys.exit(serve.run(arguments))
    from clients.terminal.running import run

    sys.exit(run(people(), arguments))
