"""Ann's first day with the popup client, with nothing but a keyboard and a mouse."""

import asyncio
from pathlib import Path

from flash_sdk import FlashClient, Message, Receipt
from tests.clients.tk.windows.conftest import PASSWORD, Client, Friend
from tests.clients.tk.windows.person import Person
from tests.support.display import Display


async def register(ann: Person, handle: str, *, picture: Path | None = None) -> None:
    """From the sign-in window."""
    await ann.has_keyboard("^Flash$")
    await ann.clicks("New here", kind="TButton")
    await ann.sees("Join Flash")
    fields = {widget.path: widget for widget in ann.look(kind="TEntry")}
    for field, said in zip(sorted(fields.values(), key=lambda widget: widget.y), (None, handle, "Ann Archer", PASSWORD), strict=True):
        if said is not None:
            await ann.fills(field, said)
    if picture is not None:
        await ann.picture(picture / "sign-in.png")
    ann.display.key("Return")


async def test_ann_registers_finds_bob_writes_and_answers_a_popup(
    screen: Display, client: Client, friend: Friend, pictures: Path | None
) -> None:
    bob = await friend("bob")
    ann = await client("ann")
    await ann.starts()
    await register(ann, f"ann-{bob.grant.handle}", picture=pictures)
    await ann.sees("^Connected$")
    await ann.sees("Nobody is on your list yet")

    screen.key("ctrl+n")
    await ann.has_keyboard("Add a contact")
    screen.type(bob.grant.handle)
    await ann.sees(f"Bob Baker | {bob.grant.handle}", kind="Treeview")
    await ann.picture(pictures / "add-contact.png" if pictures else None)
    screen.key("Return")
    await ann.sees("on your list", kind="Treeview")
    screen.key("Escape")
    await ann.sees("Bob Baker\noffline", kind="Canvas")

    async with bob.listen() as events:
        came: asyncio.Queue[object] = asyncio.Queue()
        listening = asyncio.create_task(_collect(events, came))
        await ann.sees("Bob Baker\nonline", kind="Canvas")
        await ann.has_keyboard("Flash - ann")
        screen.key("Down", "Return")
        await ann.has_keyboard("Bob Baker")
        screen.type("Shall we look at the notes?")
        screen.key("ctrl+Return")
        question = await _next(came, Message)
        assert question.text == "Shall we look at the notes?"
        await ann.sees("✓✓ delivered", kind="Text")
        await bob.done(question.id)
        await ann.sees("✓✓ done", kind="Text")
        await ann.picture(pictures / "conversation.png" if pictures else None)
        screen.key("Escape")

        await bob.add_contact(question.sender.uid)
        answer = await bob.send(question.sender.uid, "Yes! They are at https://flash.example/notes (draft).", in_reply_to=question.id)
        await ann.sees("They are at https://flash.example/notes", kind="Text", window="^Flash: Bob Baker")
        await ann.sees("↳ Shall we look at the notes", kind="TLabel", window="^Flash: Bob Baker")
        await ann.picture(pictures / "popup.png" if pictures else None)
        await ann.clicks("^Reply$", kind="TButton", window="^Flash: Bob Baker")
        await ann.has_keyboard("^Flash: Bob Baker")
        screen.type("Coming over")
        await ann.picture(pictures / "popup-reply.png" if pictures else None)
        screen.key("ctrl+Return")
        reply = await _next(came, Message)
        assert (reply.text, reply.in_reply_to) == ("Coming over", answer.id)
        done = await _next(came, Receipt, lambda receipt: receipt.state == "done")
        assert done.id == answer.id
        await ann.no_longer_sees(window="^Flash: Bob Baker")
        listening.cancel()


async def test_what_is_wrong_is_said_in_the_window(screen: Display, client: Client, friend: Friend, pictures: Path | None) -> None:
    carl = await friend("carl")
    ann = await client("wrong")
    await ann.starts("dark")
    await ann.has_keyboard("^Flash$")
    server, handle, password = sorted(ann.look(kind="TEntry"), key=lambda widget: widget.y)
    await ann.fills(handle, carl.grant.handle)
    await ann.fills(password, "not the password")
    screen.key("Return")
    await ann.sees("Handle or password is wrong", kind="TLabel")
    await ann.picture(pictures / "sign-in-wrong-dark.png" if pictures else None)
    await ann.fills(server, "http://127.0.0.1:9")
    screen.key("Return")
    await ann.sees("No answer from http://127.0.0.1:9", kind="TLabel")
    await register_again(ann, carl)
    await ann.sees("This handle is taken", kind="TLabel")


async def register_again(ann: Person, carl: FlashClient) -> None:
    """With a handle that somebody has."""
    await ann.clicks("New here", kind="TButton")
    await ann.sees("Join Flash")
    server, handle, _, password = sorted(ann.look(kind="TEntry"), key=lambda widget: widget.y)
    await ann.fills(server, ann.server)
    await ann.fills(handle, carl.grant.handle)
    await ann.fills(password, PASSWORD)
    ann.display.key("Return")


async def _collect(events: object, came: asyncio.Queue[object]) -> None:
    async for event in events:  # type: ignore[attr-defined]
        came.put_nowait(event)


async def _next(came, kind, good=lambda event: True):  # type: ignore[no-untyped-def]
    """The next event of a kind that is good."""
    async with asyncio.timeout(15):
        while True:
            event = await came.get()
            if isinstance(event, kind) and good(event):
                return event
