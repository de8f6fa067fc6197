"""Running a command: exit codes, and one line for each failure. Rule: a foreseeable failure never shows a traceback.

0 done · 1 refused or unreachable · 2 bad usage · 130 interrupted
"""

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import typer

from clients.command_line.screen import complain
from flash_sdk import FlashClientError, Unauthorized

INTERRUPTED = 130  # the exit code that shells expect after Ctrl-C

T = TypeVar("T")


class BadUsage(typer.BadParameter):
    """The command cannot be run as it was typed; the message says what to type instead. Exit code 2."""

    def format_message(self) -> str:
        """The message as it stands, because it names the fault itself."""
        return self.message


def perform(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end. An error of the SDK becomes one line on standard error and exit code 1 (`typer.Exit`)."""
    try:
        return asyncio.run(work)
    except Unauthorized as error:
        complain(str(error), " - log in again with `flash login HANDLE`")
    except FlashClientError as error:
        complain(str(error))
    except BrokenPipeError:
        stop_writing()
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    raise typer.Exit(1)


def stop_writing() -> None:
    """The reader of our output has left (`flash listen | head`). The interpreter flushes at its end, and must not fail again then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(app: typer.Typer, args: Sequence[str] | None = None) -> int:
    """Run a whole command line and return its exit code. `args`: without the program's name; None for the arguments of this process."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a test may have replaced the stream by a simpler one
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # a letter that the terminal cannot show must not end the program
    try:
        code = app(args=list(args) if args is not None else None, standalone_mode=False, prog_name="flash")
    except typer.TyperException as error:
        if message := error.format_message():
            complain(" ".join(message.split()))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else 0
