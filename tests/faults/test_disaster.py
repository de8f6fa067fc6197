"""A home's database is lost, and put back from a backup that was made while people talked. Rule: `flash store` does it all."""

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import Callable

from tests.faults.checker import Ledger, verify
from tests.faults.databases import lose
from tests.faults.installation import FLASH, Installation
from tests.faults.people import Crowd, chatter
from tests.faults.test_what_history_tells import verify_log
from tests.support.waiting import eventually


async def test_a_home_loses_its_database_and_nobody_loses_a_popup(
    installation: Installation, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Callable[[object], None]
) -> None:
    """The history has what came after the backup; clients come back and go on talking."""
    people = await crowd.settle_in(6)
    home, saved = installation.homes["h1"], installation.directory / f"saved-{chance.random()}"
    async with chatter(people, ledger, chance):
        await ledger.grown(40)
        backed_up = await asyncio.to_thread(store, installation, "backup", str(saved), "h1")
        await ledger.grown(60)
    await eventually(lambda: home.metric("flash_relay_lag") == 0)
    await asyncio.to_thread(home.kill)
    shutil.rmtree(installation.data / "h1")
    await asyncio.to_thread(lose, installation, "h1")
    restored = await asyncio.to_thread(store, installation, "restore", str(saved), "h1")
    await asyncio.to_thread(home.start)
    async with chatter(people, ledger, chance):
        await ledger.grown(60)
    tell(f"{backed_up.splitlines()[0]}; {'; '.join(line for line in restored.splitlines() if 'events' in line)}")
    tell(await verify(ledger, people))
    done = await asyncio.to_thread(verify_log, installation, "h1")
    assert done.returncode == 0, done.stdout + done.stderr


def store(installation: Installation, *arguments: str) -> str:
    """What `flash store` says."""
    done = subprocess.run(
        [FLASH, "store", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **installation.environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
