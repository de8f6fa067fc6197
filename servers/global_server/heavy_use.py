"""Who is heavy, and who has turns at a tenth, as the ops see and set it. Rule: only for the role `ops`, and each deed is on disk, with who
did it, before anybody is told that it is done.

Every home is asked over the broker, so one answer shows all servers. A look is noted in the trail of whoever looks, once in ten minutes,
because it shows addresses.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from domain.errors import Forbidden, Invalid, Unavailable, UnknownUser
from domain.events.global_server import HomeAnnounced
from domain.registry.commands import NoteRead
from domain.registry.registered_home import GLOBAL
from domain.throttles.commands import EndThrottle, Throttle, ThrottleCommand
from projections.directory.directory import Directory
from projections.server.throttles import Throttled
from runtime.deferred import Deferred
from runtime.times import rfc3339
from servers.fairness.load import Heavy, Load
from servers.fairness.throttling import Throttling
from servers.global_server import views
from servers.global_server.current_directory import CurrentDirectory
from servers.messaging.questions import AskLoad, Requests, ToldLoad, ask, home_key
from servers.security.addresses import ip_of, subscriber_of
from servers.security.identity import OPS, Identity
from servers.store.event_store import Committed
from servers.writing.writer import Writer

ASK_TIMEOUT_S = 2.0  # a person waits for the slowest home
NOTED_FOR_S = 600.0
LONGEST_S = 30 * 86_400.0  # nobody remembers a throttle for longer; whoever wants more gives it again
MOST = 1_000  # throttles at once
UID_DIGITS = 19

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True, eq=False)
class HeavyUse:
    """One Global Server's."""

    requests: Requests
    writer: Writer
    directory: Directory
    current: CurrentDirectory
    load: Load
    throttling: Throttling
    clock: Callable[[], float]
    new_id: Callable[[], str]
    timeout_s: float = ASK_TIMEOUT_S
    _noted: dict[int, float] = field(default_factory=dict, init=False)  # until when looks of this person are noted

    async def look(self, who: Identity) -> views.HeavyUse:
        """The heaviest at each server in the last minute, and the throttles. Raises `Forbidden`, `Unavailable`."""
        _must_be_ops(who)
        now = self.clock()
        if self._noted.get(who.uid, 0.0) <= now:
            note = NoteRead(uid=who.uid, handle=who.handle, what="heavy", whom="", cause=self.new_id())
            await self.writer.submit((note,), lane=who.uid)
            self._noted[who.uid] = now + NOTED_FOR_S
        homes = sorted(self.directory.homes, key=lambda name: (len(name), name))
        told = await asyncio.gather(*map(self._ask, homes))
        own = ToldLoad(self.load.heaviest(), self.load.cpu_s, self.throttling.waiting)
        return views.HeavyUse([self._shown(GLOBAL, own), *map(self._shown, homes, told)], self.throttles())

    def throttles(self) -> list[views.Throttle]:
        """Who has turns at a tenth."""
        self.throttling.forget()
        return [self._view(throttled) for throttled in self.throttling.throttles.held]

    async def throttle(self, who: Identity, kind: str, name: str, for_s: float) -> views.Throttle:
        """Give a user, an address or a home turns at a tenth at every server. Raises `Forbidden`, `Invalid`, `UnknownUser`,
        `Unavailable`."""
        _must_be_ops(who)
        if not 1 <= for_s <= LONGEST_S:
            raise Invalid("for_s", f"1 to {LONGEST_S:.0f} seconds")
        if len(self.throttles()) >= MOST:
            raise Invalid("name", f"fewer than {MOST} throttles at once")
        target = await self._target(kind, name)
        until = float(int(self.clock() + for_s))
        await self._submit(Throttle(until=until, **target, **self._deed(who)))
        log.info("throttle.began", kind=kind, until=until, by=who.handle)
        return self._view(Throttled(kind, target["uid"] or target["home"] or target["address"], until, who.uid, who.handle))

    async def end_throttle(self, who: Identity, kind: str, name: str) -> None:
        """Give it all turns again; a second time changes nothing. Raises as `throttle` does."""
        _must_be_ops(who)
        await self._submit(EndThrottle(**await self._target(kind, name), **self._deed(who)))
        log.info("throttle.ended", kind=kind, by=who.handle)

    def committed(self, batch: Sequence[Committed]) -> None:
        """Tell homes that came just now of what holds."""
        homes = sorted({each.event.name for each in batch if isinstance(each.event, HomeAnnounced)})
        if homes:
            self.throttling.forget()
            for kind, who, until, by, handle in self.throttling.throttles.held:
                target = {"uid" if kind == "user" else kind: who}
                command = Throttle(server=GLOBAL, cause=self.new_id(), kind=kind, **target, by=by, handle=handle, homes=homes,
                                   until=until, again=True)  # fmt: skip
                self.writer.submit((command,)).add_done_callback(_told)

    async def _submit(self, command: ThrottleCommand) -> None:
        await self.current.catch_up()  # every home must hear of it, so every home must be known
        await self.writer.submit((msgspec.structs.replace(command, homes=sorted(self.directory.homes)),))
        await self.current.catch_up()

    def _deed(self, who: Identity) -> dict[str, Any]:
        return {"server": GLOBAL, "by": who.uid, "handle": who.handle, "cause": self.new_id()}

    async def _target(self, kind: str, name: str) -> dict[str, Any]:
        """Whom it is about, as the log has it: by number, by the address that is counted, by name."""
        uid, home, address = 0, "", ""
        if kind == "user":
            uid = await self._uid(name)
        elif kind == "address":
            if ip_of(name.partition("/")[0]) is None:
                raise Invalid("name", "an address of IPv4 or IPv6")
            address = subscriber_of(name.partition("/")[0])
        elif name in self.directory.homes:
            home = name
        else:
            raise Invalid("name", "the name of a home")
        return {"kind": kind, "uid": uid, "home": home, "address": address}

    async def _uid(self, name: str) -> int:
        by_number = name.isascii() and name.isdecimal() and len(name) < UID_DIGITS
        users = self.directory
        found = await self.current.find(lambda: users.users.get(int(name)) if by_number else users.by_handle(name))
        if found is None:
            raise UnknownUser
        return found.uid

    async def _ask(self, home: str) -> ToldLoad | None:
        try:
            return await ask(self.requests, home_key(home), AskLoad(), ToldLoad, self.timeout_s)
        except Unavailable:
            return None
        except msgspec.MsgspecError as error:  # a home of another version
            log.warning("console.load_unreadable", home=home, error=type(error).__name__)
            return None

    def _shown(self, server: str, told: ToldLoad | None) -> views.ServerLoad:
        if told is None:
            return views.ServerLoad(server, False, None, None, [])
        heaviest = [self._heavy(each) for each in told.heaviest]
        return views.ServerLoad(server, True, round(told.cpu_s, 3), told.waiting, heaviest)

    def _heavy(self, each: Heavy) -> views.Heavy:
        return views.Heavy(each.kind, self._named(each.kind, each.who), round(each.cpu_s, 4), each.size, round(each.waited_s, 3))

    def _view(self, throttled: Throttled) -> views.Throttle:
        return views.Throttle(throttled.kind, self._named(throttled.kind, throttled.who), rfc3339(throttled.until), throttled.handle)

    def _named(self, kind: str, who: int | str) -> str:
        listed = self.directory.users.get(who) if kind == "user" and isinstance(who, int) else None
        return listed.handle if listed is not None else str(who)


def _must_be_ops(who: Identity) -> None:
    if OPS not in who.roles:
        raise Forbidden(f"This needs the role {OPS}.")


def _told(done: Deferred[Any]) -> None:
    if done.exception is not None:
        log.warning("throttle.homes_not_told", error=type(done.exception).__name__)
