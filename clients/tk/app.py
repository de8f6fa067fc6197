"""`flash tk`. Rule: it starts even without Tk, a display or a server, in order to say in one line what is missing."""

import sys
from typing import Annotated, Literal

import typer

NO_TK = (
    "this Python ({python}) has no Tk, which the popup client is drawn with. Install it: `apt-get install python3-tk` (Debian, Ubuntu), "
    "`dnf install python3-tkinter` (Fedora), `brew install python-tk` (macOS); a Python built from source needs `tk-dev` first."
)
NO_DISPLAY = "there is no display to open windows on: {error}. In a terminal, `flash listen` shows popups too."

app = typer.Typer(add_completion=False, help="The popup client for desktops.", context_settings={"help_option_names": ["-h", "--help"]})


@app.command()
def tk(
    server: Annotated[str | None, typer.Option("--server", envvar="FLASH_SERVER", metavar="URL", help="The Global Server.")] = None,
    handle: Annotated[str | None, typer.Option("--as", metavar="HANDLE", help="The user to sign in, instead of the last one.")] = None,
    looks: Annotated[Literal["light", "dark", "system"] | None, typer.Option("--looks", help="Light or dark, for this start only.")] = None,
    direct: Annotated[bool, typer.Option("--direct", help="Open a port, so that popups can come directly.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log to standard error, with timings.")] = False,
    keyring: Annotated[bool, typer.Option(help="Keep the login in the desktop's keyring, if there is one.")] = True,
) -> None:
    """Show contacts and popups in windows."""
    try:
        import tkinter

        from clients.tk.program import Options, run
    except ModuleNotFoundError as error:
        if error.name not in ("tkinter", "_tkinter"):
            raise
        _complain(NO_TK.format(python=sys.executable))
    try:
        run(Options(server, handle, looks, verbose, keyring, direct))
    except tkinter.TclError as error:
        if "display" not in str(error):
            raise
        _complain(NO_DISPLAY.format(error=error))


def _complain(what: str) -> None:
    typer.echo(f"flash: {what}", err=True)
    raise typer.Exit(1)
