"""Which home a new user is given. Rule: the living home with the fewest users, those included who are being registered this moment."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from projections.directory.directory import Directory


class HomeChoice:
    """The homes that may be chosen. `alive`: the servers that are heard; `wait_s`: how long a registration waits for one."""

    def __init__(self, directory: Directory, alive: Callable[[], set[str]], wait_s: float) -> None:
        self._directory = directory
        self._alive = alive
        self._wait_s = wait_s
        self._changed = asyncio.Event()
        self._coming: Counter[str] = Counter()  # users who are being registered, by home
        self.waiting = 0  # registrations that wait for a living home

    def changed(self, _: object = None) -> None:
        """A home came up or was announced, or a commit may have announced one."""
        self._changed.set()

    @contextlib.asynccontextmanager
    async def one_more(self) -> AsyncIterator[str]:
        """A home, which counts one user more until the block ends. Raises `Unavailable` when no home is heard within `wait_s`."""
        home = await self._choose()
        self._coming[home] += 1
        try:
            yield home
        finally:
            self._coming[home] -= 1

    async def _choose(self) -> str:
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                while True:
                    self._changed.clear()
                    home = self._directory.pick_home(self._alive() - {GLOBAL}, self._coming)
                    if home is not None:
                        return home
                    await self._changed.wait()
        except TimeoutError:
            raise Unavailable("No Home Server is there to take a new user; try again soon.") from None
        finally:
            self.waiting -= 1
