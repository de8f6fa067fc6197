"""`flash user add|find|erase` and `flash login`. Rule: a password is sent once and kept nowhere."""

from typing import Annotated

import typer

from clients.command_line.running import BadUsage, perform
from clients.command_line.screen import complain, say
from clients.terminal.grants import Grants
from clients.terminal.options import DEFAULT_SERVER, As, Password, Server, connect, password_for, perform_as
from flash_sdk import PROFILE_FIELDS, FlashClient, Grant, User

user = typer.Typer(no_args_is_help=True, help="Register, and find people.")

PAGE = 50  # more than a screen, so that the first screen comes in one answer
Field = Annotated[list[str] | None, typer.Option(metavar="NAME=WORDS", help="Search for words in one field.", show_default=False)]
Profile = Annotated[str | None, typer.Option(help="A field of the profile, in which others can search.", show_default=False)]


@user.command()
def add(
    handle: str,
    password: Password = None,
    full_name: Profile = None,
    email: Profile = None,
    phone: Profile = None,
    organisation: Profile = None,
    street: Profile = None,
    city: Profile = None,
    state: Profile = None,
    country: Profile = None,
    note: Profile = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Register a user, and stay logged in as that user."""
    values = (full_name, email, phone, organisation, street, city, state, country, note)
    profile = {name: value for name, value in zip(PROFILE_FIELDS, values, strict=True) if value is not None}
    client, secret = connect(server), password_for(handle, password, new=True)

    async def register() -> Grant:
        async with client:
            return await client.register(handle, secret, profile)

    grant = perform(register())
    _keep(server, grant, current=False)
    say("registered ", (grant.handle, "bold"), f" (uid {grant.uid}) at {grant.home.name}")


@user.command()
def find(
    query: Annotated[list[str] | None, typer.Argument(help="Search for words in any field.", show_default=False)] = None,
    field: Field = None,
    me: As = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Find people by their profiles."""
    narrowed = dict(_field(each) for each in field or [])
    words = " ".join(query or [])
    if not words and not narrowed:
        raise BadUsage("say what to search for: words, or --field full_name=...")

    async def search(client: FlashClient) -> int:
        found = 0
        async for person in client.search(words, limit=PAGE, **narrowed):
            found += 1
            _show(person)
        return found

    if not perform_as(me, server, search):
        complain("nobody matches")


@user.command()
def erase(
    handle: str,
    me: Annotated[str | None, typer.Option("--as", metavar="OPS", help="Act for this user with the role ops.", show_default=False)] = None,
    password: Password = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Close an account for good: the messages and the profile of this user are unreadable from then on.

    It needs the user's own password, or --as with the handle of somebody whom FLASH_OPS names.
    """

    async def end_other(client: FlashClient) -> None:
        await client.erase((await client.by_handle(handle)).uid)

    async def end_own(secret: str) -> None:
        async with connect(server) as client:
            await client.login(handle, secret)
            await client.erase_me(secret)

    if me is not None:
        perform_as(me, server, end_other)
    else:
        perform(end_own(password_for(handle, password, new=False)))
    say("erased ", (handle, "bold"))


def login(handle: str, password: Password = None, server: Server = DEFAULT_SERVER) -> None:
    """Log in: later commands act for this user unless they name another one."""
    client, secret = connect(server), password_for(handle, password, new=False)

    async def ask() -> Grant:
        async with client:
            return await client.login(handle, secret)

    grant = perform(ask())
    _keep(server, grant, current=True)
    say("logged in as ", (grant.handle, "bold"), f" at {grant.home.name} until {grant.expires_at.astimezone():%Y-%m-%d %H:%M}")


def _keep(server: str, grant: Grant, *, current: bool) -> None:
    async def keep() -> None:
        Grants(server).keep(grant, current=current)

    perform(keep())  # `perform` prints what the disk refuses


def _field(given: str) -> tuple[str, str]:
    name, equals, words = given.partition("=")
    if not equals or name not in PROFILE_FIELDS:
        raise BadUsage(f"--field is NAME=WORDS, and NAME one of {', '.join(PROFILE_FIELDS)}")
    return name, words


def _show(person: User) -> None:
    place = ", ".join(filter(None, (person.profile.get(name) for name in ("city", "state", "country"))))
    rest = [person.profile.get("full_name"), person.profile.get("organisation"), place, f"@{person.home.name}"]
    say((person.handle, "bold"), "  ", "  ".join(filter(None, rest)))
