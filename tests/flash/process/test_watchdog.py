"""Who has lost the lease is gone in time, whatever hangs: a part, the loop, or a thread after all is over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, contextlib, sys, threading
from types import SimpleNamespace
from flash.commands import serve
from flash.process import watchdog

async def a_part_that_never_stops():
    await asyncio.Event().wait()

async def the_loop():
    threading.Event().wait()

async def a_thread():
    threading.Thread(target=threading.Event().wait, name="stubborn").start()

class Broker:
    async def start(self): pass
    async def close(self): pass

@contextlib.asynccontextmanager
async def running_home(*_):
    lost = asyncio.Event()
    lost.set()
    try:
        keeper = SimpleNamespace(over=asyncio.Event(), waits="")
        yield SimpleNamespace(lifecycle=SimpleNamespace(lease=SimpleNamespace(lost=lost), keeper=keeper))
    finally:
        await globals()[sys.argv[1]]()

watchdog.leave_within.__defaults__ = (0.2,)
serve.running_home, serve.rabbit = running_home, lambda *_: Broker()
sys.exit(serve.run(["home", "h1"]))
"""


HANGS = {
    "a_part_that_never_stops": "> running_home > a_part_that_never_stops > Event.wait",
    "the_loop": "MainThread",
    "a_thread": "stubborn",
}


@pytest.mark.parametrize(("hangs", "said"), HANGS.items())
def test_who_has_lost_the_lease_leaves_in_time_and_says_what_hung(hangs: str, said: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, hangs],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "FLASH_DATA_DIR": str(tmp_path)},
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "flash.left" in ended.stderr
    assert said in ended.stderr
