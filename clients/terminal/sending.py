"""`flash send` and `flash status`. Rule: a message that is printed as accepted is on the home's disk."""

import asyncio
import contextlib
from typing import Annotated, Literal

import typer

from clients.command_line.screen import complain, say
from clients.terminal.contacts import known
from clients.terminal.options import DEFAULT_SERVER, As, Server, perform_as
from flash_sdk import Disconnected, FlashClient, FlashClientError, Listener, Message, Receipt, Unreachable, Welcome

WINDOW = 64  # popups that a home sends ahead of acknowledgements, and a session that peeks acknowledges nothing
WAIT_S = 30.0  # a popup to someone online takes a fraction of a second, so the recipient is not online


def send(
    handle: Annotated[str, typer.Argument(help="The handle of the recipient.")],
    text: Annotated[str, typer.Argument(help="The text of the popup.")],
    me: As = None,
    urgent: Annotated[bool, typer.Option("--urgent", help="Mark it as urgent.")] = False,
    reply_to: Annotated[str | None, typer.Option(metavar="ID", help="The id of the message that this answers.", show_default=False)] = None,
    direct: Annotated[bool, typer.Option("--direct", help="Hand it over directly as well, if the recipient is near by.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help=f"Wait up to {WAIT_S:.0f} s until it is delivered.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Send a popup. The recipient is put on your contact list when they are not on it yet."""

    async def deliver(client: FlashClient) -> bool:
        uid = await _reach(client, handle)
        receipts = await _open(client) if wait else None
        try:
            accepted = await client.send(uid, text, in_reply_to=reply_to, urgent=urgent, direct=direct)
            say("accepted ", (accepted.id, "bold"), ", and handed over directly" if accepted.direct else "")
            return receipts is None or await _delivered(receipts, accepted.id)
        finally:
            with contextlib.suppress(FlashClientError):  # a home that is away will notice by itself
                await client.logoff()

    if not perform_as(me, server, deliver):
        raise typer.Exit(1)


async def _reach(client: FlashClient, handle: str) -> int:
    """The uid of the recipient. On return the recipient is on the contact list."""
    contact = await known(client, handle)
    if contact is None:
        contact = await client.add_contact((await client.by_handle(handle)).uid)
    return contact.uid


async def _open(client: FlashClient) -> Listener:
    """A session that acknowledges nothing, so that the windows of this user elsewhere get everything as well."""
    listener = client.listen(peek=True)
    async for event in listener:
        if isinstance(event, Welcome):
            break
        if isinstance(event, Disconnected):
            raise Unreachable(f"no back connection to {client.grant.home.url}: {event.reason}")
    return listener


async def _delivered(receipts: Listener, message_id: str) -> bool:
    """Wait for the receipt and print its state."""
    popups = 0
    try:
        async with asyncio.timeout(WAIT_S):
            async for event in receipts:
                popups += isinstance(event, Message)
                if popups == WINDOW:
                    complain(f"accepted; the receipt waits behind your own {WINDOW} oldest popups: see them first, with flash listen")
                    return False
                if isinstance(event, Receipt) and event.id == message_id:
                    if event.state == "bounced":
                        complain(f"bounced: {event.why or 'no reason was given'}")
                        return False
                    say(event.state)
                    return True
    except TimeoutError:
        pass  # the last line says it, as it does after a goodbye
    complain("not delivered yet: it waits in the recipient's mailbox")
    return False


def status(
    state: Annotated[Literal["online", "away", "dnd"], typer.Argument(metavar="away|dnd|online", help="Your new status.")],
    note: Annotated[str, typer.Option(help="A few words for the people who have you on their list.", show_default=False)] = "",
    me: As = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Set your status, which the people see who have you on their list."""
    perform_as(me, server, lambda client: client.set_status(state, note))
    say("you are ", (state, "bold"))
