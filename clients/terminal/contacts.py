"""`flash contacts [list|add|remove]`. Rule: people are named by handle, and uids are never shown."""

from typing import Annotated

import typer

from clients.command_line.running import BadUsage
from clients.command_line.screen import complain, say
from clients.terminal.options import DEFAULT_SERVER, As, Server, perform_as
from flash_sdk import Contact, FlashClient

contacts = typer.Typer(help="Your contact list: the people you watch and may send to.")

STYLES = {"online": "green", "away": "yellow", "dnd": "red"}


@contacts.callback(invoke_without_command=True)
def default(context: typer.Context, me: As = None, server: Server = DEFAULT_SERVER) -> None:
    """Your contact list: the people you watch and may send to."""
    if context.invoked_subcommand is None:
        list_(me, server)
    elif any(str(context.get_parameter_source(name)).endswith("COMMANDLINE") for name in ("me", "server")):
        # options before the subcommand would be ignored, and it would act for another user
        raise BadUsage(f"put the options after `{context.invoked_subcommand}`")


@contacts.command("list")
def list_(me: As = None, server: Server = DEFAULT_SERVER) -> None:
    """Show your contacts and their presence."""
    listed = perform_as(me, server, FlashClient.contacts)
    for contact in sorted(listed, key=lambda contact: contact.handle):
        note = f"  ({contact.presence.note})" if contact.presence.note else ""
        names = "  ".join(filter(None, (contact.alias, contact.name)))
        say((contact.handle, "bold"), "  ", (contact.presence.status, STYLES.get(contact.presence.status, "dim")), note, f"  {names}")
    if not listed:
        complain("your contact list is empty: `flash contacts add HANDLE`")


@contacts.command()
def add(
    handle: str,
    alias: Annotated[str | None, typer.Option(help="Your own name for this contact.", show_default=False)] = None,
    notify: Annotated[bool, typer.Option("--notify", help="Be told when this contact comes online.")] = False,
    me: As = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Put someone on your contact list, or change their entry there."""

    async def put(client: FlashClient) -> Contact:
        return await client.add_contact((await client.by_handle(handle)).uid, alias, notify)

    contact = perform_as(me, server, put)
    say((contact.handle, "bold"), f" is on your contact list: {contact.presence.status}")


@contacts.command()
def remove(handle: str, me: As = None, server: Server = DEFAULT_SERVER) -> None:
    """Take someone off your contact list."""

    async def take(client: FlashClient) -> bool:
        contact = await known(client, handle)
        if contact is not None:
            await client.remove_contact(contact.uid)
        return contact is not None

    if not perform_as(me, server, take):
        complain(f"{handle} is not on your contact list")
        raise typer.Exit(1)
    say((handle, "bold"), " is off your contact list")


async def known(client: FlashClient, handle: str) -> Contact | None:
    """The contact with this handle, if there is one."""
    wanted = handle.lower()
    return next((contact for contact in await client.contacts() if contact.handle == wanted), None)
