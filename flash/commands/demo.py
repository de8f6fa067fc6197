"""`flash serve --demo`: two people, one popup. Rule: the demo uses HTTP as every client does; it has no short cut.

The demo registers ann and bob if they do not exist; the homes take turns, so ann lives on h1 and bob on h2. Then ann's popup arrives at
bob's back connection. After a restart everything is still there.
"""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import flash_sdk
from clients.tk.demo import can_open_windows, open_client
from domain.errors import Unavailable

TEXT = "Hello bob, this popup went ann -> h1 -> h2 -> you."
PASSWORDS = {"ann": "ann-demo-password", "bob": "bob-demo-password"}
ARRIVAL_TIMEOUT_S = 15.0
CLOSING_TIMEOUT_S = 5.0  # for a popup client to log off


@contextlib.asynccontextmanager
async def demo(server: str, folder: Path, say: Callable[[str], object]) -> AsyncIterator[Sequence[Sequence[str]]]:
    """Play the demo, then keep two popup clients open until the context ends. Yields the commands with which people join, one line each.

    `server`: the Global Server's URL. `folder`: where the popup clients keep their files. Raises `TimeoutError`, `Unavailable`.
    """
    try:
        grants = await _play(server, say)
    except flash_sdk.FlashClientError as error:
        raise Unavailable(f"The demo failed: {str(error) or type(error).__name__}") from error
    async with _windows(server, grants, folder, say):
        yield (
            (f"login bob --password {PASSWORDS['bob']}", "listen --as bob"),
            (f"login ann --password {PASSWORDS['ann']}", "send bob 'pop over?' --as ann"),
        )


async def _play(server: str, say: Callable[[str], object]) -> list[flash_sdk.Grant]:
    """Send ann's popup, wait until bob has it, and say so. Returns their grants. Raises `TimeoutError`, `flash_sdk.FlashClientError`."""
    async with flash_sdk.FlashClient(server) as ann, flash_sdk.FlashClient(server) as bob:
        await _enter(ann, "ann", {"full_name": "Ann Archer", "state": "Florida"})
        await _enter(bob, "bob", {"full_name": "Bob Baker", "state": "Ohio"})
        await ann.add_contact(bob.grant.uid)
        await bob.add_contact(ann.grant.uid)
        accepted: flash_sdk.Accepted | None = None
        leaving: asyncio.Task[None] | None = None
        async with asyncio.timeout(ARRIVAL_TIMEOUT_S):
            async for event in bob.listen():
                if isinstance(event, flash_sdk.Welcome):
                    sent_at = datetime.now(UTC)
                    accepted = await ann.send(bob.grant.uid, TEXT)
                elif isinstance(event, flash_sdk.Message) and accepted is not None and event.id == accepted.id:
                    took_ms = (datetime.now(UTC) - sent_at).total_seconds() * 1000
                    route = f"ann -> {ann.grant.home.name} -> {bob.grant.home.name} -> bob"
                    say(f'{datetime.now().astimezone():%H:%M:%S.%f} a popup arrived: {route}, {took_ms:.1f} ms: "{event.text}"')
                    await bob.done(event.id)
                    leaving = asyncio.create_task(bob.logoff())  # the listener goes on until the home has said goodbye
            if leaving is not None:
                await leaving
        return [ann.grant, bob.grant]


@contextlib.asynccontextmanager
async def _windows(server: str, grants: Sequence[flash_sdk.Grant], folder: Path, say: Callable[[str], object]) -> AsyncIterator[None]:
    """Keep a popup client open for each grant until the context ends, where there is a display."""
    clients: list[subprocess.Popen[bytes]] = []
    if can_open_windows():
        say(f"Opening the windows of {' and '.join(grant.handle for grant in grants)}.")
        with contextlib.suppress(OSError):
            clients += [open_client(server, grant, folder) for grant in grants]
    try:
        yield
    finally:
        for client in clients:
            client.terminate()
        for client in clients:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(
                    client.wait, CLOSING_TIMEOUT_S
                )  # in a thread, because the servers of this process must go on while the client logs off


async def _enter(client: flash_sdk.FlashClient, handle: str, profile: dict[str, str]) -> None:
    try:
        await client.register(handle, PASSWORDS[handle], profile)
    except flash_sdk.Refused as refusal:
        if refusal.code != "handle_taken":
            raise
        await client.login(handle, PASSWORDS[handle])
