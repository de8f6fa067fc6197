"""The `flash` command. Rule: bad usage exits 2 with one line, a refusal exits 1 with its reason, and nobody ever sees a traceback.

Server commands live in `flash/serve.py` and `flash/projections_command.py`, those of the people who use Flash in `clients/terminal`.
"""

import sys

import typer

from clients.terminal.app import app as people
from flash import projections_command, serve

app = typer.Typer(
    name="flash", help="Popup messages that arrive at once, through any firewall.", no_args_is_help=True, add_completion=False
)
app.command("serve")(serve.serve)
app.command("global")(serve.global_server)
app.command("home")(serve.home)
app.add_typer(projections_command.app, name="projections")
app.registered_commands.extend(people.registered_commands)
app.registered_groups.extend(people.registered_groups)


def main() -> None:
    """Run the command line; the entry point of the installed program."""
    sys.exit(app())
