"""A home's client of the Global Server: it announces the home, learns keys and looks users up. Rule: answers are remembered."""

import asyncio
import contextlib
import json
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import structlog

from broker.port import Broker
from domain.errors import Unavailable, UnknownUser
from domain.registry.registered_home import GLOBAL
from runtime.background_task import BackgroundTask
from servers.messaging.questions import Announce, Announced, AskUser, FoundUser, RemoteUser, ask
from servers.store.event_store import Store

ASK_TIMEOUT_S = 5.0  # a person waits for this
REMEMBERED_USERS = 10_000  # about 3 MB
RETRY_S = 1.0

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class GlobalClient:
    """Asks the Global Server. `trust` is called with the public keys whenever the Global Server has told them. `announced` is set once the
    Global Server knows this home, and this home knows the keys."""

    broker: Broker
    name: str
    url: str
    keys_file: Path
    trust: Callable[[Any], None]
    store: Store
    _users: OrderedDict[int, RemoteUser] = field(default_factory=OrderedDict, init=False)
    _announcing: BackgroundTask = field(default_factory=lambda: BackgroundTask("announce"), init=False)
    announced: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def start(self) -> None:
        """Trust the keys of the last run, so that a home starts without the Global Server; then announce."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            self.trust(json.loads(self.keys_file.read_text()))
        self.announce()

    def announce(self) -> None:
        """Tell the Global Server that this home is here, until it has answered: at the start, and when the Global Server was restarted."""
        if not self._announcing.alive:
            self._announcing.start(self._announce())

    async def stop(self) -> None:
        """Announce no more."""
        await self._announcing.stop()

    async def user(self, uid: int) -> RemoteUser:
        """The user `uid`, with their home. Raises `UnknownUser`, `Unavailable`."""
        known = self._users.get(uid)
        if known is None:
            try:
                found = await ask(self.broker, GLOBAL, AskUser(uid), FoundUser, ASK_TIMEOUT_S)
            except msgspec.MsgspecError:
                raise Unavailable("The Global Server's answer is unreadable.") from None
            if found.user is None:
                raise UnknownUser(uid=uid)
            known = self._users[uid] = found.user
            if len(self._users) > REMEMBERED_USERS:
                self._users.popitem(last=False)
        return known

    def forget(self, uid: int) -> None:
        """Ask anew about this user, who left for good."""
        self._users.pop(uid, None)

    async def _announce(self) -> None:
        while True:
            try:
                told = await ask(self.broker, GLOBAL, Announce(self.name, self.url), Announced, ASK_TIMEOUT_S)
                await self.store.run(self.store.learn_transit_key, *told.mail)
                self.trust(told.keys)  # last, because from now on users may come
                await asyncio.to_thread(self._remember, told.keys)
                self.announced.set()
                return
            except Unavailable:
                await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            except (msgspec.MsgspecError, KeyError, TypeError, ValueError, OSError) as error:
                log.error("home.announce_failed", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    def _remember(self, keys: Any) -> None:
        self.keys_file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.keys_file.with_suffix(".new")
        fresh.write_text(json.dumps(keys))
        fresh.replace(self.keys_file)
