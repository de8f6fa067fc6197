"""`flash enroll`: make the secret with which a home becomes known. Rule: it is shown once, or written into a file that only its owner
reads."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from clients.command_line.screen import complain
from domain.errors import FlashError
from domain.registry.registered_home import GLOBAL, HOME_NAME, HOME_URL
from flash.commands.servers.registry import entries, registry
from flash.commands.session import Data, settings_for
from flash.process.settings import BadSetting
from servers.trust.enrolment import GOOD_FOR_S, Secret, open_secret
from servers.trust.records import Records

FILE = "secret"


def enroll(
    homes: Annotated[list[str], typer.Argument(metavar="HOME…", help="The home's name, e.g. h1.")],
    url: Annotated[
        str, typer.Option("--url", help="Where clients will reach the home; without it, wherever the home says when it is enrolled.")
    ] = "",
    into: Annotated[
        Path | None,
        typer.Option(
            "--into", metavar="DIR", help="Write DIR/HOME/secret, for FLASH_ENROLL_FILE, unless the home is known or was revoked."
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Make a secret for a new home: good once, for an hour. Typed on the Global Server's machine, with its settings.

    Start the home with it: `flash home h1 --enroll SECRET`, or FLASH_ENROLL_FILE. The hour of a secret in a file begins when the Global
    Server sees it first.
    """
    try:
        for home in homes:
            if not HOME_NAME.fullmatch(home) or home == GLOBAL:
                raise BadSetting(f"{home!r} is no name for a home")
        if url and not HOME_URL.fullmatch(url):
            raise BadSetting("--url: expected an absolute http or https URL")
        with registry(settings_for(data), begin=into is not None) as records:
            for home in homes:
                if into is None:
                    _show(records, home, url.rstrip("/"))
                else:
                    _write(records, home, url.rstrip("/"), into)
    except (BadSetting, FlashError, OSError) as error:
        complain(str(error))
        raise typer.Exit(1) from None


def _show(records: Records, home: str, url: str) -> None:
    expires = time.time() + GOOD_FOR_S
    typer.echo(_made(records, home, url, expires).text)
    until = datetime.fromtimestamp(expires, UTC)
    typer.echo(f"good once, until {until:%H:%M} UTC: FLASH_ENROLL=… flash home {home}", err=True)


def _write(records: Records, home: str, url: str, into: Path) -> None:
    known = next((entry for entry in entries(records, time.time()) if entry.name == home), None)
    file = into / home / FILE
    if known is not None and (known.card is not None or known.why == "revoked"):
        if not file.exists():
            _put(file, "")  # for FLASH_ENROLL_FILE, which must name a file
        typer.echo(f"{home}: {known.why or 'is known'}; no secret was made")
    elif known is not None and known.secret is not None and file.exists():
        typer.echo(f"{home}: {file} is there")
    else:
        _put(file, _made(records, home, url, 0.0).text)
        typer.echo(f"{home}: {file}")


def _put(file: Path, text: str) -> None:
    """Write a whole file that only its owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    fresh.replace(file)


def _made(records: Records, home: str, url: str, expires: float) -> Secret:
    secret = open_secret(records, home, url=url, expires=expires, by_ops=True, make_identity=True)
    assert secret is not None, "an identity is made where there is none"
    return secret
