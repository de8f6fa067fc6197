"""Opens a real back connection over the public URL, to see whether parts come through. Rule: it acts as a client and acknowledges nothing.

A user must be named, because only a user may open a back connection. Contacts see this user online meanwhile. The first blank may come at
any time within the interval, so an early one says nothing about a proxy's timeout; the doctor waits for the second, a whole interval later.
"""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from domain.registry.registered_home import GLOBAL
from flash.commands.doctor.machine import FAILURE, OK, Remark
from flash.process.compose import host_here, public_url
from flash.process.settings import Settings
from flash_sdk import Blank, Disconnected, FlashClient, FlashClientError, Grant, Home, Patience, Welcome

LOOK = {"nginx": "proxy_buffering off, gzip off", "haproxy": "option http-no-delay, no compression"}
WAIT = {"nginx": "proxy_read_timeout", "haproxy": "timeout client, timeout server"}
FILES = "docs/networks has both files"


class Timeouts(NamedTuple):
    """How long the doctor waits, in seconds."""

    welcome_s: float = 5.0  # a home answers a login in milliseconds; a buffering proxy keeps the answer until its buffer is full
    late_s: float = 3.0  # how late a blank may come on a busy machine


DEFAULT = Timeouts()


class Seen(NamedTuple):
    """What a back connection showed: seconds to the welcome and between two blanks, the promised interval, and an early end."""

    welcome_s: float | None = None
    quiet_s: float | None = None
    every_s: float = 0.0
    ended: str = ""
    after_s: float = 0.0


async def stream_remarks(
    settings: Settings, server: str, port: int, grant: Grant, through: str | None, timeouts: Timeouts = DEFAULT
) -> AsyncIterator[Remark]:
    """Open the back connection of `grant` at `through`, or else at the public URL, and wait for two blanks."""
    who, home = grant.handle, grant.home
    if server not in (GLOBAL, home.name):
        yield Remark("stream", FAILURE, f"{who} lives at {home.name}", f"name somebody of {server} with --as, or ask for {home.name}")
        return
    url = through or (home.url if server == GLOBAL else public_url(settings, port))
    try:
        seen = await look(grant, url, timeouts, until_quiet=True)
    except FlashClientError as error:
        yield Remark("stream", FAILURE, f"{url} refuses {who}: {error}", f"flash login {who}, or name somebody else with --as")
        return
    if seen.quiet_s is not None and seen.welcome_s is not None:
        says = f"{who}'s back connection through {url}: welcome in {seen.welcome_s:.2f} s, blanks {seen.quiet_s:.1f} s apart"
        yield Remark("stream", OK, says)
    elif seen.ended == "unreachable":
        yield Remark("stream", FAILURE, f"{url} makes no back connection", "start the home; look at the proxy, and at the log of either")
    elif seen.welcome_s is None:
        yield await _no_welcome(settings, port, grant, url, timeouts)
    elif seen.ended == "late":
        says = f"{url} holds streams back: the welcome came, blanks did not, in {seen.after_s:.0f} s; one is due every {seen.every_s:g} s"
        yield Remark("stream", FAILURE, says, _cure(LOOK))
    else:
        says = f"{url} ends back connections after {seen.after_s:.1f} s ({seen.ended}); a blank comes every {seen.every_s:g} s"
        yield Remark("stream", FAILURE, says, f"{_cure(WAIT)} above that; or FLASH_BLANK_S below")


async def _no_welcome(settings: Settings, port: int, grant: Grant, url: str, timeouts: Timeouts) -> Remark:
    """Ask the home without the proxy, to tell whose fault it is that no welcome came."""
    here = f"http://{host_here(settings)}:{port}"
    seen = Seen()
    with contextlib.suppress(FlashClientError):
        seen = await look(grant, here, timeouts, until_quiet=False)
    if seen.welcome_s is None:
        says = f"no welcome through {url} in {timeouts.welcome_s:.0f} s, nor at {here}"
        return Remark("stream", FAILURE, says, "look into the home's log; ask where it runs")
    compared = f"no welcome in {timeouts.welcome_s:.0f} s, and at {here} in {seen.welcome_s:.2f} s"
    says = f"{url} holds streams back: {compared}; clients poll meanwhile"
    return Remark("stream", FAILURE, says, _cure(LOOK))


def _cure(settings: dict[str, str]) -> str:
    return "; ".join(f"{proxy}: {what}" for proxy, what in settings.items()) + f"; {FILES}"


async def look(grant: Grant, url: str, timeouts: Timeouts, *, until_quiet: bool) -> Seen:
    """Open one back connection to the home at `url`. `until_quiet`: stay for a whole interval of silence. Raises `Refused`."""
    began = time.monotonic()
    first_blank: float | None = None
    seen = Seen()
    async with FlashClient(url, client="doctor/1.0", patience=Patience(welcome_s=timeouts.welcome_s)) as client:
        client.use(dataclasses.replace(grant, home=Home(grant.home.name, url)))
        listener = client.listen(framing="multipart", blanks=True, peek=True)
        try:
            async with asyncio.timeout(None) as patience:
                async for event in listener:
                    passed = time.monotonic() - began
                    if isinstance(event, Welcome):
                        seen = Seen(passed, every_s=event.blank_s)
                        if not until_quiet:
                            break
                        patience.reschedule(asyncio.get_running_loop().time() + event.blank_s + timeouts.late_s)
                    elif isinstance(event, Blank):
                        if first_blank is not None:
                            seen = seen._replace(quiet_s=passed - first_blank)
                            break
                        first_blank = passed
                        patience.reschedule(asyncio.get_running_loop().time() + seen.every_s + timeouts.late_s)
                    elif isinstance(event, Disconnected):
                        seen = seen._replace(ended=event.reason, after_s=passed)
                        break
        except TimeoutError:
            seen = seen._replace(ended="late", after_s=time.monotonic() - began)
        with contextlib.suppress(FlashClientError):
            await client.logoff()
    return seen
