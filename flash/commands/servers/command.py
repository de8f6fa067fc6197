"""`flash servers`: who belongs to the installation, where homes may be reached, and who is believed no more. Rule: the running Global
Server does it, because only it writes its log; a command leaves the wish and says what became of it.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from clients.command_line.screen import complain, say
from domain.errors import FlashError
from domain.registry.registered_home import GLOBAL, HOME_NAME, HOME_URL
from flash.commands.servers.registry import ServerEntry, entries, losses, registry
from flash.commands.session import AsJson, Data, settings_for
from flash.process.settings import BadSetting
from servers.trust.enrolment import fingerprint
from servers.trust.records import Records
from servers.trust.wishes import Wish, make_wish

WAIT_S = 10.0  # the Global Server looks for wishes each second
LOOK_S = 0.2

app = typer.Typer(help="Which servers belong to the installation: typed on the Global Server's machine.")
Home = Annotated[str, typer.Argument(metavar="HOME", help="The home's name, e.g. h1.")]


@app.callback(invoke_without_command=True)
def servers(context: typer.Context, as_json: AsJson = False, data: Data = None) -> None:
    """The servers that the Global Server has certified: where, with which key, until when, and who was revoked."""
    if context.invoked_subcommand is not None:
        return

    def show(records: Records) -> None:
        now = time.time()
        for entry in entries(records, now):
            if as_json:
                typer.echo(json.dumps(_as_dict(entry)))
            else:
                say(*_line(entry))
        for name, loss in losses(records).items():
            if as_json:
                typer.echo(json.dumps({"name": name, "lost": loss}))
            else:
                say(f"{name} was set back and waits for you: {loss}. `flash servers accept {name}` lets it go on without that.")

    _with_records(data, show)


@app.command()
def allow(home: Home, url: Annotated[str, typer.Argument(metavar="URL", help="Where clients will reach it.")], data: Data = None) -> None:
    """Let a home be reached at URL: it takes effect when the home is started with it."""
    if not HOME_URL.fullmatch(url):
        complain("URL: expected an absolute http or https URL")
        raise typer.Exit(2)
    _wish(data, Wish(kind="allow", home=_name(home), url=url), f"{home} may be reached at {url}")


@app.command()
def revoke(home: Home, data: Data = None) -> None:
    """Let nobody believe a home any more. Prints the commands that also end its users of RabbitMQ and PostgreSQL."""
    _wish(data, Wish(kind="revoke", home=_name(home)), f"{home} is revoked: no server believes it any more")
    typer.echo("End also what it may do at the broker and the database:")
    for line in ending_commands(home):
        typer.echo(f"  {line}")


@app.command()
def accept(server: Annotated[str, typer.Argument(metavar="SERVER", help="h1, h2… or global.")], data: Data = None) -> None:
    """Let a server that was set back go on without what nobody has any more. Says what that is."""
    if not HOME_NAME.fullmatch(server):
        complain(f"{server!r} is no name of a server")
        raise typer.Exit(2)

    def look(records: Records) -> None:
        loss = losses(records).get(server)
        if loss is None:
            raise BadSetting(f"{server} does not wait for anybody to accept a loss")
        typer.echo(f"Lost: {loss}.")

    _with_records(data, look)
    _wish(data, Wish(kind="accept", home=server), f"accepted: {server} goes on without it")


def ending_commands(home: str) -> list[str]:
    """The commands that end a home's user of RabbitMQ and its role of PostgreSQL, where each server has its own."""
    roles = (f"flash_{home}", f"flash_keys_{home}")
    sessions = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN {roles}"  # noqa: S608 - printed; a name is [a-z0-9_-]
    return [
        f"rabbitmqctl close_all_user_connections {home} revoked && rabbitmqctl delete_user {home}",
        "psql " + " ".join(f"""-c 'ALTER ROLE "{role}" NOLOGIN'""" for role in roles) + f' -c "{sessions}"',
    ]


def _wish(data: object, wish: Wish, done: str) -> None:
    def leave(records: Records) -> None:
        name = make_wish(records, wish)
        until = time.monotonic() + WAIT_S
        while records.read(name) is not None:
            if time.monotonic() >= until:
                typer.echo("The Global Server does not run, or is busy: it does this as soon as it runs.")
                return
            time.sleep(LOOK_S)
        typer.echo(done)

    _with_records(data, leave)


def _with_records(data: object, work: Callable[[Records], None]) -> None:
    try:
        with registry(settings_for(data)) as records:  # type: ignore[arg-type]
            work(records)
    except (BadSetting, FlashError, OSError) as error:
        complain(str(error))
        raise typer.Exit(1) from None


def _name(home: str) -> str:
    if not HOME_NAME.fullmatch(home) or home == GLOBAL:
        complain(f"{home!r} is no name of a home")
        raise typer.Exit(2)
    return home


def _as_dict(entry: ServerEntry) -> dict[str, object]:
    told: dict[str, object] = {"name": entry.name, "believed": entry.believed, "why": entry.why, "secret_open": entry.secret is not None}
    if entry.card is not None:
        certificate = entry.card.certificate
        told |= {"urls": certificate.urls, "key": certificate.key.hex(), "life": certificate.life, "number": certificate.number}
        told |= {"expires": certificate.expires}
    return told


def _line(entry: ServerEntry) -> list[str]:
    if entry.card is None:
        where, until, key = "", "", ""
    else:
        certificate = entry.card.certificate
        where, key = " ".join(certificate.urls), fingerprint(certificate.key).hex()[:16]
        until = f"until {datetime.fromtimestamp(certificate.expires, UTC):%Y-%m-%d}"
    state = entry.why or "believed"
    secret = "a secret is open" if entry.secret is not None else ""
    return ["  ".join(part for part in (f"{entry.name:10}", f"{state:12}", until, key, where, secret) if part)]
