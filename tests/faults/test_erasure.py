"""Ann leaves for good while Bob's home is down and servers are killed: her texts and names are in no file and no row."""

import asyncio
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.databases import on_postgresql
from tests.faults.history import close, open_store, read_history
from tests.faults.installation import FLASH, Installation
from tests.faults.people import PASSWORD, Crowd
from tests.support.postgres import every_row
from tests.support.rabbitmq import PrivateRabbit
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

SEEN, UNSEEN = "seen-3f9a1c secret", "unseen-77be02 secret"
NAME, CITY = "Annabella-Quixote-51c", "Xanadu-90d"
WORDS = (SEEN, UNSEEN, NAME, CITY)


def files_with(words: Iterable[str], *folders: Path) -> list[str]:
    """Files in which one of the words stands: a database, a queue's segment, a log."""
    found = []
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                found += [f"{file}: {word}" for word in words if word.encode() in content]
    return found


async def decoded(installation: Installation) -> list[Any]:
    """Every event of the history, with whatever keys the servers have."""
    events: list[Any] = []
    for source, records in (await read_history(installation.amqp_url)).records.items():
        store = open_store(installation.store_url(source), source)
        events += [store.codec.decode(r.stream, r.version, r.topic, r.data) for r in records]
        await close(store)
    return events


async def test_what_ann_wrote_is_found_nowhere(
    request: pytest.FixtureRequest, installation: Installation, rabbit: AnyRabbit, crowd: Crowd
) -> None:
    ann, bob = await crowd.pair("h1", "h2")
    h1, h2 = installation.homes["h1"], installation.homes["h2"]
    await ann.client.change_profile(full_name=NAME, city=CITY)
    window = await bob.opens()
    await ann.client.send(bob.uid, SEEN, id="seen")
    await eventually(lambda: (ann.uid, "seen") in window.shown_once, 10)
    await window.die()
    await ann.client.send(bob.uid, UNSEEN, id="unseen")

    async def tells_all() -> bool:
        text = repr(await decoded(installation))
        return all(word in text for word in WORDS)

    async with asyncio.timeout(30):  # with the keys, the history tells all of it
        while not await tells_all():
            pass

    await asyncio.to_thread(h2.kill)
    await ann.client.erase_me(PASSWORD)
    await asyncio.to_thread(h1.kill)
    await asyncio.to_thread(installation.start)

    async def gone() -> bool:
        text = repr(await decoded(installation))
        return not any(word in text for word in WORDS)

    async with asyncio.timeout(30):
        while not await gone():
            pass
    sent = [e for e in await decoded(installation) if e.TOPIC == "user.message_sent" and e.uid == ann.uid]
    assert [(e.to, e.text, e.name) for e in sent] == [(bob.uid, "", ""), (bob.uid, "", "")], "that something was sent stays known"
    window = await bob.opens()
    await eventually(lambda: window.presence.get(ann.uid) == "offline", 20)
    (shown,) = await bob.client.contacts()
    assert (shown.uid, shown.name) == (ann.uid, ann.handle)
    assert not window.shown_once
    for server in installation.servers:  # so that everything is on disk
        await asyncio.to_thread(server.stop)
    command, environment = [FLASH, "audit", "verify", *(s.name for s in installation.servers)], os.environ | installation.environment
    verified = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr  # the hash chains cover the stored bytes, which did not change
    rows: list[str] = []
    folders = [installation.directory]
    if on_postgresql(installation):
        rows = every_row(installation.store_url("global"))
        assert [row for row in rows if ann.handle in row]
        folders = [request.getfixturevalue("database").directory]
    if isinstance(rabbit, PrivateRabbit):
        folders.append(rabbit.directory)
    for folder in folders:
        assert files_with([ann.handle], folder), "who it was stays known, and the search finds what is there"
    assert not files_with(WORDS, installation.directory, *folders)
    assert not [row for row in rows for word in WORDS if word in row]
    if rows:
        return
    keys = installation.data / "keys"
    assert {file.stat().st_mode & 0o777 for file in keys.iterdir()} == {0o600}
    assert keys.stat().st_mode & 0o777 == 0o700
