"""Examines a server's store and broker. Rule: look, never change; nothing is declared, and no message is taken."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
from aio_pika.exceptions import AMQPException
from yarl import URL

from broker import topology
from broker.publishers import EVERY_SERVER
from broker.rabbitmq.alarms import why_blocked
from broker.rabbitmq.connection import user_of
from domain.errors import Unavailable
from flash.commands.doctor.machine import FAILURE, OK, WARNING, Remark, clock_remark
from flash.process.compose import store_url
from flash.process.settings import Settings
from runtime.database_urls import sqlite_file
from servers.store.databases import is_log

CONNECT_S = 5.0  # a live service answers within a second
LOW_BYTES, EMPTY_BYTES = 1_000_000_000, 100_000_000  # a busy home writes a gigabyte in an hour; without a tenth of it nothing commits
NAMED = 5  # databases and schemas of others, at most
# What of Flash's a role can use beside its own schema: other servers' schemas, all keys, other databases.
REACHED = r"""
    SELECT 'the schema ' || nspname FROM pg_namespace
    WHERE nspname LIKE 'flash\_%%' AND nspname <> %s AND has_schema_privilege(oid, 'USAGE')
    UNION ALL SELECT 'the database ' || datname FROM pg_database
    WHERE datname LIKE 'flash\_%%' AND datname <> current_database() AND datallowconn AND has_database_privilege(oid, 'CONNECT')
    ORDER BY 1 DESC
"""
LONG_WAL_BYTES = 256_000_000  # a healthy journal has 16 MB; a larger one means that a reader holds it open for very long
ALARMS = {  # what RabbitMQ calls short -> what to do
    "memory": "rabbitmqctl memory_breakdown says what fills it: give it more, or raise vm_memory_high_watermark",
    "disk": "make room where RabbitMQ keeps its data (a policy can shorten the history), or lower disk_free_limit",
}
OLDEST_BROKER, OLDEST_DATABASE = (3, 10), 130_000


def store_remarks(settings: Settings, server: str) -> Iterator[Remark]:
    """Examine the database with the events."""
    url = store_url(settings, server)
    if (path := sqlite_file(url)) is not None:
        yield from _sqlite(path, server)
    else:
        yield from _postgres(url, server)


def _sqlite(path: Path, server: str) -> Iterator[Remark]:
    place = next(each for each in (path.absolute().parent, *path.absolute().parent.parents) if each.exists())
    free = shutil.disk_usage(place).free
    if free < LOW_BYTES:
        state = FAILURE if free < EMPTY_BYTES else WARNING
        yield Remark("space", state, f"{free // 1_000_000} MB are left at {place}", "make room, or move the store: flash store copy")
    else:
        yield Remark("space", OK, f"{free // 1_000_000_000} GB are left at {place}")
    if not path.exists():
        yield Remark("store", WARNING, f"there is no {path}", f"it is made when {server} starts; after a disaster: flash store restore")
        return
    if not os.access(path, os.W_OK):
        yield Remark("store", FAILURE, f"{path} cannot be written", "chown it to the user of the server")
        return
    if not is_log(f"sqlite:///{path}", server):
        yield Remark("store", FAILURE, f"{path} is no store", "flash store restore puts a backup in its place; keep the file")
        return
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        try:
            verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            verdict = str(error)
    if verdict != "ok":
        yield Remark("store", FAILURE, f"{path} is damaged: {verdict}", "stop the server, keep the file, flash store restore")
    else:
        yield Remark("store", OK, f"{path} is sound")
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and (size := wal.stat().st_size) > LONG_WAL_BYTES:
        yield Remark("store", WARNING, f"the journal has {size // 1_000_000} MB", f"something reads {path} for very long: end it")


def _postgres(url: str, server: str) -> Iterator[Remark]:
    import psycopg

    from servers.store.postgres.schema import schema_of

    try:
        with psycopg.connect(url, connect_timeout=int(CONNECT_S), autocommit=True) as database:
            query = (
                "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), extract(epoch FROM clock_timestamp()),"
                " has_database_privilege(current_database(), 'CREATE')"
            )
            asked = time.time()
            row = database.execute(query).fetchone()
            assert row is not None
            version, standby, clock, may_create = row
            skew = float(clock) - (asked + time.time()) / 2
            reached = database.execute(REACHED, [schema_of(server)]).fetchall()
    except psycopg.Error as error:
        yield Remark(
            "store", FAILURE, f"the database cannot be reached: {' '.join(str(error).split())}", "start it; look at FLASH_STORE_URL"
        )
        return
    known = is_log(url, server)
    if version < OLDEST_DATABASE:
        yield Remark("store", FAILURE, f"PostgreSQL {version // 10_000} is too old", "13 or later is needed")
    elif standby:
        yield Remark("store", FAILURE, "this PostgreSQL is a read-only replica", "let FLASH_STORE_URL name the primary")
    elif not known and not may_create:
        yield Remark("store", FAILURE, f"there is no schema of {server}, and this user may make none", "GRANT CREATE ON DATABASE … TO …")
    else:
        what = f"the schema of {server} is there" if known else f"the schema of {server} is made when it starts"
        yield Remark("store", OK, f"PostgreSQL {version // 10_000}, {what}")
        if names := [name for (name,) in reached]:
            says = f"this role also gets at {', '.join(names[:NAMED])}{' and more' if len(names) > NAMED else ''}"
            yield Remark("store", WARNING, says, "a database and a role for each server, and for its keys: deploy/postgres/roles.sh")
    yield clock_remark(skew, "the database")


async def broker_remarks(settings: Settings, server: str) -> AsyncIterator[Remark]:
    """Examine the broker: it answers, it lets this user in, its queues exist, and the inbox has a consumer."""
    if not settings.broker_url:
        file = settings.data / "broker.db"
        if file.exists():
            yield Remark("broker", OK, f"embedded, {file}")
        else:
            yield Remark(
                "broker", WARNING, "no FLASH_BROKER_URL, and no embedded broker has run here", "set it for flash global and flash home"
            )
        return
    for url in settings.broker_url.split(","):
        connection = aio_pika.Connection(URL(url))  # `aio_pika.connect` leaves a connection open that fails
        try:
            await asyncio.wait_for(connection.connect(), CONNECT_S)
        except (AMQPException, OSError, TimeoutError) as error:
            await connection.close()
            reason = str(error) or type(error).__name__
            yield Remark("broker", FAILURE, f"{_where(url)}: {reason}", "start RabbitMQ; look at FLASH_BROKER_URL, the user, the vhost")
            continue
        async with connection:
            async for remark in _node(connection, url, settings, server):
                yield remark
        yield await _alarm(url)


async def _ignore(message: aio_pika.abc.AbstractIncomingMessage) -> None:
    """Somebody else reads it."""


async def _node(connection: aio_pika.abc.AbstractConnection, url: str, settings: Settings, server: str) -> AsyncIterator[Remark]:
    transport = connection.transport
    told = getattr(transport.connection, "server_properties", {}) if transport is not None else {}
    raw = told.get("version", b"")
    version = raw.decode() if isinstance(raw, bytes) else str(raw)
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < OLDEST_BROKER:
        yield Remark("broker", FAILURE, f"{_where(url)}: RabbitMQ {version} is too old", "3.10 or later is needed")
    else:
        yield Remark("broker", OK, f"{_where(url)}: RabbitMQ {version}")
    user = user_of(url)
    if user != settings.broker_users.get(server, server) or EVERY_SERVER in settings.broker_users:
        says = f"{_where(url)}: servers share the user {user!r}, so RabbitMQ does not prove which of them published"
        yield Remark("broker", WARNING, says, "a user for each server, by deploy/rabbitmq/permissions.sh; or name it in FLASH_BROKER_USERS")
    inbox, calls = topology.inbox(server).name, topology.calls(server).name
    for name in (*(queue.name for queue in topology.QUEUES), inbox, calls):
        channel = await connection.channel()
        try:
            result = (await channel.declare_queue(name, passive=True)).declaration_result  # a passive declaration needs no permission
            if name == calls:  # from its end, so this takes nothing from anybody, but it needs a right that the server needs
                await channel.set_qos(1)
                queue = await channel.get_queue(name, ensure=False)
                await queue.cancel(await queue.consume(_ignore, arguments={"x-stream-offset": "next"}))
        except AMQPException as error:
            says = str(error)
            if "NOT_FOUND" in says:
                yield Remark("queues", WARNING, f"there is no {name}", "it is made when the Global Server, or this one, starts")
            else:
                yield Remark("queues", FAILURE, f"{name}: {says}", f"deploy/rabbitmq/permissions.sh {server} | sh")
            continue
        if name == inbox and not result.consumer_count:
            waiting = f"{result.message_count} messages wait"
            yield Remark("queues", WARNING, f"nobody consumes {name}, {waiting}", f"start {server}; if it runs, look into its log")
        elif name == topology.DEAD and result.message_count:
            yield Remark("queues", WARNING, f"{result.message_count} dead letters", "look at them in the ops console")
        else:
            yield Remark("queues", OK, f"{name} is there")


async def _alarm(url: str) -> Remark:
    try:
        reason = await why_blocked(url, CONNECT_S)
    except Unavailable as error:
        return Remark("alarms", WARNING, f"{_where(url)} does not say: {error.detail}", "rabbitmqctl alarms; ask again")
    if not reason:
        return Remark("alarms", OK, f"{_where(url)} takes what is published")
    cures = [cure for resource, cure in ALARMS.items() if resource in reason]
    says = f"{_where(url)} is {reason} and lets every publisher wait: sends are accepted, and arrive when it is over"
    return Remark("alarms", FAILURE, says, "; ".join(cures or ["rabbitmqctl alarms"]))


def _where(url: str) -> str:
    return url.rpartition("@")[2] or url  # without user and password
