"""The `flash` command. Rule: bad usage exits 2 with one line, a refusal exits 1 with its reason, and nobody ever sees a traceback.

Server commands live in `flash/serve.py` and `flash/projections_command.py`, those of the people who use Flash in `clients/terminal`.
"""

import sys

import typer

from clients.terminal.running import run

SERVERS = {"serve", "global", "home"}  # a process that is one of these never needs the people's commands, nor the memory they take


def build(first: str | None) -> typer.Typer:
    """The command line, or of a server's process the part that it needs. `first`: the first argument."""
    app = typer.Typer(
        name="flash", help="Popup messages that arrive at once, through any firewall.", no_args_is_help=True, add_completion=False
    )
    from flash import serve

    app.command("serve")(serve.serve)
    app.command("global")(serve.global_server)
    app.command("home")(serve.home)
    if first not in SERVERS:
        from clients.terminal.app import app as people
        from flash import projections_command

        app.add_typer(projections_command.app, name="projections")
        app.add_typer(people)
    return app


def main() -> None:
    """Run the command line; the entry point of the installed program."""
    sys.exit(run(build(sys.argv[1] if len(sys.argv) > 1 else None)))
