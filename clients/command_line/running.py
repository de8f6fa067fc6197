"""Running a command: exit codes and the words for what went wrong. Rule: one clear line, never a traceback, for everything foreseeable.

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

INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended

T = TypeVar("T")


class BadUsage(typer.BadParameter):
    """What was typed cannot be done, and this says what could. Exit code 2, whichever command line the command is mounted in."""

    def format_message(self) -> str:
        """The message as it stands: it names what is wrong itself."""
        return self.message


def perform(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end. What the SDK raises becomes one line on standard error and exit code 1 (`typer.Exit`)."""
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
    """Whoever read our output has left (`flash listen | head`): no second error when the interpreter flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(app: typer.Typer, args: Sequence[str] | None = None) -> int:
    """Run a whole command line and return its exit code. `args`: without the program's name; None for this process's own."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a test may have put something simpler in its place
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter must not end the program
    try:
        code = app(args=list(args) if args is not None else None, standalone_mode=False, prog_name="flash")
    except typer.TyperException as error:
        if message := error.format_message():
            complain(" ".join(message.split()))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else 0
