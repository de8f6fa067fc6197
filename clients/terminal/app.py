"""The map of the terminal client: every command and where it lives. Rule: no command is written here."""

import typer

from clients.terminal.contacts import contacts
from clients.terminal.listening import listen
from clients.terminal.people import login, user
from clients.terminal.sending import send, status
from clients.terminal.throttling import throttle
from clients.terminal.top import top
from clients.terminal.watching import watch

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Send and receive popups from a terminal.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(user, name="user")
app.add_typer(contacts, name="contacts")
app.command()(login)
app.command()(send)
app.command()(listen)
app.command()(status)
app.command()(watch)
app.command()(top)
app.command()(throttle)
