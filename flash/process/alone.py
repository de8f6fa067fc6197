"""One process for one directory of data. Rule: whoever finds another one at work leaves, before anything is opened."""

import contextlib
import fcntl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from flash.process.settings import BadSetting
from runtime.scheduler import Scheduler
from runtime.ticker import watched


@contextlib.asynccontextmanager
async def alone_in_turn(lock: Path, scheduler: Scheduler | None = None) -> AsyncIterator[Scheduler]:
    """Hold `lock`, as `_alone` does, and give the scheduler of this process, which the first server of it begins."""
    with _alone(lock):
        async with watched(scheduler) as own:
            yield own


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold `lock` for as long as it lasts. Raises `BadSetting` when another process of this machine holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadSetting(f"another process already serves from {lock.with_suffix('')}; stop it, or choose another directory") from None
        yield
