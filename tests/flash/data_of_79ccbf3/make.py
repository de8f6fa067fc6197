"""Makes `data.tar.gz` beside this file: a small installation as commit 79ccbf3 stored it. It was made once and is kept.

In a checkout of 79ccbf3, after `make dev` there: `.venv/bin/python PATH/make.py`. The story is in `tests/flash/test_data_of_79ccbf3.py`.
"""

import asyncio
import signal
import subprocess
import sys
import tarfile
import tempfile
from contextlib import aclosing
from pathlib import Path

from flash_sdk import FlashClient, Receipt

FLASH = str(Path(sys.executable).with_name("flash"))
PORT = 28580
URL = f"http://127.0.0.1:{PORT}"
PEOPLE = ("ann", "bob", "carol", "dan")


async def reads(client: FlashClient) -> None:
    """Acknowledges whatever comes."""
    async with aclosing(client.listen()) as events:
        async for _ in events:
            pass


async def live() -> None:
    async with FlashClient(URL) as ann, FlashClient(URL) as bob, FlashClient(URL) as carol, FlashClient(URL) as dan:
        clients = dict(zip(PEOPLE, (ann, bob, carol, dan), strict=True))
        uid = {}
        for name, client in clients.items():
            grant = await client.register(name, f"{name}-password", {"full_name": f"{name.title()} Example", "state": "Florida"})
            uid[name] = grant.uid
        await ann.add_contact(uid["bob"], alias="Bobby")
        await ann.add_contact(uid["carol"])
        await bob.add_contact(uid["ann"], notify=True)
        await dan.add_contact(uid["ann"])
        await ann.add_contact(uid["dan"])
        await ann.send(uid["bob"], "seen before", id="seen")
        reading = asyncio.create_task(reads(bob))
        async with aclosing(ann.listen()) as events:
            async for event in events:
                if isinstance(event, Receipt):
                    break
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await ann.send(uid["dan"], "nobody reads this", id="unread")
        await dan.send(uid["ann"], "gone with dan", id="gone")
        await dan.erase_me("dan-password")
        await asyncio.sleep(2.0)  # the homes hear of it
        await ann.send(uid["bob"], "waiting one", id="one")
        await ann.send(uid["bob"], "waiting two", id="two", urgent=True)
        await ann.set_status("away", note="at lunch")
        await asyncio.sleep(2.0)  # the history has it all


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        server = subprocess.Popen([FLASH, "serve", "--port", str(PORT), "--data", str(data)], stdout=subprocess.PIPE)
        assert server.stdout is not None
        assert b"Flash serves at" in server.stdout.readline()
        try:
            asyncio.run(asyncio.wait_for(live(), 25))
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=30)
        subprocess.run([FLASH, "audit", "log", "--data", str(data)], check=True, stdout=subprocess.DEVNULL)  # makes the audit's store
        with tarfile.open(Path(__file__).with_name("data.tar.gz"), "w:gz") as archive:
            for path in sorted(data.rglob("*")):
                if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock")):
                    info = archive.gettarinfo(path, str(path.relative_to(data)))
                    info.uid, info.gid, info.uname, info.gname, info.mtime = 0, 0, "", "", 0
                    with path.open("rb") as file:
                        archive.addfile(info, file)


if __name__ == "__main__":
    main()
