"""`flash listen`: popups and presence, line by line. Rule: one event is one line, and a popup is printed before it is acknowledged."""

import asyncio
import contextlib
import signal
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import typer

import flash_sdk
from clients.command_line.screen import complain, say
from clients.terminal.contacts import STYLES
from clients.terminal.grants import Grants
from clients.terminal.options import DEFAULT_SERVER, As, Server, perform_as

WHY_GONE = {
    "unreachable": "no answer from your home",
    "lost": "the connection was lost",
    "silent": "the connection fell silent",
    "held": "this network holds the stream back",
    "better": "trying whether this network lets a better transport through by now",
    "session": "your home forgot this session",
    "protocol": "something in between answered instead of your home",
    "goodbye": "your home said goodbye",
}
WHY_NOT_CALLED = {
    "not_proven": "something in between rewrites ports, or is a proxy",
    "not_allowed": "your home calls no addresses such as yours",
    "no_answer": "a firewall keeps it out",
    "wrong_answer": "something in between answers in your place",
    "tls": "the connection to it is encrypted, and a direct line would not be",
    "proxy": "you reach it through a proxy",
    "failed": "it takes no offers, or no port could be opened",
    "lost": "the line broke",
    "given_up": "the line broke",
}
HOW = {
    "multipart": "popups come at once again, on one connection",
    "sse": "this network holds multipart streams back: popups come as server-sent events",
    "poll": "this network holds streams back: popups come by long polls",
}


def listen(
    me: As = None,
    done: Annotated[bool, typer.Option("--done", help="Close each popup as soon as it is shown.")] = False,
    direct: Annotated[bool, typer.Option("--direct", help="Open a port, so that popups can come directly.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Be online: print popups and the presence of your contacts, until Ctrl-C."""

    async def receive(client: flash_sdk.FlashClient) -> None:
        _end_when_told()
        seen = flash_sdk.FileSeen(Grants(server).seen_file(client.grant.handle))
        try:
            await _print_all(client, seen, done, direct)
        except asyncio.CancelledError:  # Ctrl-C is the usual way to end this command, so it is no error
            pass
        finally:
            with contextlib.suppress(flash_sdk.FlashClientError):  # a home that does not answer notices the end by itself
                await client.logoff()

    perform_as(me, server, receive)


def _end_when_told() -> None:
    """Let SIGTERM end the present task, as Ctrl-C does."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def end() -> None:
        loop.add_signal_handler(signal.SIGTERM, lambda: None)  # `timeout` sends it twice, and the second one must not cut the logoff short
        if task is not None:
            task.cancel()

    with contextlib.suppress(NotImplementedError):  # Windows has no such handler, so only Ctrl-C logs off there
        loop.add_signal_handler(signal.SIGTERM, end)


async def _print_all(client: flash_sdk.FlashClient, seen: flash_sdk.FileSeen, done: bool, direct: bool) -> None:
    window, met = Window(), False
    async for event in client.listen(seen=seen, direct=direct):
        met = met or isinstance(event, flash_sdk.Welcome)
        if not met and isinstance(event, flash_sdk.Disconnected) and event.reason == "unreachable":
            raise flash_sdk.Unreachable(f"no answer from your home at {client.grant.home.url}")
        if not (done and isinstance(event, flash_sdk.Done)):  # every session hears of the messages that we closed ourselves
            window.show(event)
        if done and isinstance(event, flash_sdk.Message):
            try:
                await client.done(event.id)
            except flash_sdk.FlashClientError as error:  # the message was shown, and it may stay open elsewhere
                complain(str(error))


class Window:
    """Knows the names of contacts, and prints each event as one line."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._transport = "multipart"  # the usual transport is not mentioned

    def show(self, event: flash_sdk.Event) -> None:
        """Print the event, if a person needs to know of it."""
        match event:
            case flash_sdk.Connected() if event.transport != self._transport:
                self._transport = event.transport
                _remark(HOW[event.transport])
            case flash_sdk.Direct(active=True):
                _remark("your home calls you directly")
            case flash_sdk.Direct():
                _remark(f"your home cannot call you, popups come as usual: {WHY_NOT_CALLED.get(event.why or '', event.why)}")
            case flash_sdk.Welcome():
                self._learn(event.contacts)
                _remark("online; ", ", ".join(f"{self._name(c.uid)} {c.presence.status}" for c in event.contacts) or "no contacts yet")
                if event.verdict == "gap":
                    _remark("some messages were taken by another client of yours, or lost")
            case flash_sdk.Message():
                mark = " !" if event.urgent else ""
                answers = f" re {event.in_reply_to}" if event.in_reply_to else ""
                say(_time(event.sent_at), " ", (event.sender.handle + mark, "bold"), (f" [{event.id}{answers}] ", "dim"), event.text)
            case flash_sdk.Presence():
                for change in event.changes:
                    note = f" ({change.presence.note})" if change.presence.note else ""
                    style = STYLES.get(change.presence.status, "dim")
                    _remark(f"{self._name(change.uid)} is ", (change.presence.status, style), note)
            case flash_sdk.Receipt():
                why = f": {event.why}" if event.why else ""
                _remark(f"your message {event.id} to {self._name(event.to)}: {event.state}{why}")
            case flash_sdk.Done():
                _remark(f"{event.id} was closed elsewhere")
            case flash_sdk.Contacts():
                self._learn(event.added)
                for contact in event.added:
                    _remark(f"{contact.handle} is on your contact list now")
                for uid in event.removed:
                    _remark(f"{self._name(uid)} is off your contact list now")
            case flash_sdk.Goodbye():
                _remark(f"your home says goodbye: {event.reason}")
            case flash_sdk.Disconnected():
                again = "" if event.retry_in_s is None else f"; trying again in {event.retry_in_s:.0f} s"
                complain(WHY_GONE.get(event.reason, event.reason), again)

    def _learn(self, contacts: Iterable[flash_sdk.Contact]) -> None:
        self._names.update((contact.uid, contact.alias or contact.handle) for contact in contacts)

    def _name(self, uid: int) -> str:
        return self._names.get(uid, f"user {uid}")


def _remark(*pieces: str | tuple[str, str]) -> None:
    say(_time(datetime.now().astimezone()), " * ", *pieces)


def _time(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"
