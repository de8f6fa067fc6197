"""Makes `on_rabbitmq.tar.gz` beside this file: an installation of commit 79ccbf3 on RabbitMQ, stopped while mail waits. It was made once.

In a checkout of 79ccbf3, after `make dev` there: `PYTHONPATH=. .venv/bin/python PATH/make_on_rabbitmq.py`. Ann lives at h1 and Bob at h2.
Bob was shown one popup, which he did not acknowledge. Then h2 was stopped, Ann sent three more, and the others were stopped, as the
documented upgrade says. `broker.msgpack` in the archive holds the messages of each queue and stream.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from contextlib import aclosing
from pathlib import Path

import aio_pika
import msgpack

from flash_sdk import FlashClient, Message
from tests.support.ports import free_ports
from tests.support.rabbitmq import PrivateRabbit
from tests.support.waiting import wait_until

FLASH = str(Path(sys.executable).with_name("flash"))
PASSWORD = "correct horse battery"
QUIET_S = 1.0
STREAMS = ("flash.history", "flash.presence.log")
QUEUES = ("flash.home.h1", "flash.home.h2", "flash.home.global", "flash.dead")


class Server:
    def __init__(self, *command: str, port: int, environment: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen([FLASH, *command, "--port", str(port)], env=os.environ | environment)
        wait_until(self._ready, 30, f"{command} is ready")

    def _ready(self) -> bool:
        try:
            return bool(urllib.request.urlopen(f"{self.url}/readyz", timeout=2).status == 200)  # noqa: S310 - our own address
        except OSError:
            return False

    def lag(self) -> float:
        lines = urllib.request.urlopen(f"{self.url}/metrics").read().decode().splitlines()  # noqa: S310 - our own address
        return next(float(line.split()[1]) for line in lines if line.startswith("flash_relay_lag "))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


async def talk(url: str, h1: Server, h2: Server) -> None:
    async with FlashClient(url) as ann, FlashClient(url) as bob:
        at = {}
        for name, client in (("ann", ann), ("bob", bob)):
            grant = await client.register(name, PASSWORD, {"full_name": f"{name.title()} Example"})
            at[name] = grant
        assert (at["ann"].home.name, at["bob"].home.name) == ("h1", "h2")
        await ann.add_contact(at["bob"].uid)
        await bob.add_contact(at["ann"].uid)
        await ann.send(at["bob"].uid, "seen before", id="seen")
        async with aclosing(bob.listen()) as events:
            async for event in events:
                if isinstance(event, Message):
                    break
        await asyncio.sleep(QUIET_S)
        await asyncio.to_thread(h2.stop)
        for number in (1, 2, 3):
            await ann.send(at["bob"].uid, f"waiting {number}", id=f"waiting-{number}")
        await asyncio.sleep(QUIET_S)
        await asyncio.to_thread(wait_until, lambda: h1.lag() == 0, 10, "h1 has published everything")


async def messages(url: str) -> dict[str, list[bytes]]:
    """What lies in each queue and stream."""
    found: dict[str, list[bytes]] = {}
    connection = await aio_pika.connect(url)
    async with connection:
        for name in (*QUEUES, *STREAMS):
            channel = await connection.channel()
            await channel.set_qos(100)
            try:
                queue = await channel.get_queue(name)
            except aio_pika.exceptions.ChannelClosed:
                continue
            bodies: list[bytes] = []
            arguments = {"x-stream-offset": "first"} if name in STREAMS else {}
            await queue.consume(lambda message, bodies=bodies: bodies.append(message.body), arguments=arguments)
            await asyncio.sleep(QUIET_S)
            found[name] = bodies
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data, rabbit, ports = Path(folder) / "data", PrivateRabbit(Path(folder) / "rabbitmq"), free_ports(3)
        rabbit.start()
        try:
            environment = {"FLASH_BROKER_URL": rabbit.url, "FLASH_DATA_DIR": str(data)}
            central = Server("global", port=ports[0], environment=environment)
            h1 = Server("home", "h1", port=ports[1], environment=environment)
            h2 = Server("home", "h2", port=ports[2], environment=environment)
            asyncio.run(asyncio.wait_for(talk(central.url, h1, h2), 60))
            h1.stop()
            central.stop()
            found = asyncio.run(messages(rabbit.url))
        finally:
            rabbit.close()
        print({name: len(bodies) for name, bodies in found.items()})
        (data / "broker.msgpack").write_bytes(msgpack.packb(found))
        with tarfile.open(Path(__file__).with_name("on_rabbitmq.tar.gz"), "w:gz") as archive:
            for path in sorted(data.rglob("*")):
                if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock")):
                    archive.add(path, str(path.relative_to(data)), filter=of_nobody)


def of_nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the maker's name and the time."""
    return info.replace(mtime=0, uid=0, gid=0, uname="", gname="")


if __name__ == "__main__":
    main()
