"""Composes a process: which broker, which store, which servers on which ports. Rule: implementations are chosen here only."""

import asyncio
import contextlib
import gc
import math
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from broker.port import Broker
from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL, HOME_NAME
from edge.assembly import global_edge, home_edge
from edge.console.live_tail import Tails
from edge.console.routes import console_routes
from edge.direct.config import DirectConfig
from edge.http.client_address import TrustedProxies
from edge.http.server import EdgeServer
from edge.http.watch import Watch
from flash.process.alone import alone_in_turn
from flash.process.memory import MemoryKeeper
from flash.process.settings import BadSetting, Settings
from runtime.background_task import BackgroundTask
from runtime.database_urls import sqlite_file
from runtime.scheduler import Scheduler
from servers.audit.audit import Audit
from servers.audit.own_key import own_key
from servers.global_server.assembly import assemble as assemble_global
from servers.global_server.config import GlobalConfig
from servers.global_server.console import OpsConsole
from servers.global_server.metrics import GlobalMetrics, global_queues
from servers.global_server.service import GlobalServer
from servers.home.assembly import assemble as assemble_home
from servers.home.config import HomeConfig, HousekeepingConfig
from servers.home.metrics import HomeMetrics, home_queues
from servers.home.service import HomeServer
from servers.integrity.policy import SealPolicy
from servers.writing.config import WriterConfig

SWITCH_S = 0.0005  # a commit's thread needs the interpreter a dozen times: at the default of 5 ms a busy loop would delay it by 60 ms
TEND_S = 15.0  # the Global Server alone may make queues again that somebody deleted; a look costs it 0.3 ms a home
ANNOUNCE_S = 30.0  # a home and the Global Server of one process meet in a fraction of a second, unless the machine is overloaded
DRAIN_S = 5.0  # running requests and goodbyes get this long at shutdown

log = structlog.get_logger()
C = TypeVar("C", HomeConfig, GlobalConfig)
S = TypeVar("S", HomeServer, GlobalServer)


def rabbit(settings: Settings, server: str, heartbeat_s: float | None = None) -> Broker:
    """The broker of a real installation. `heartbeat_s` is used unless the address names another. Raises `BadSetting` without an address."""
    if not settings.broker_url:
        raise BadSetting("FLASH_BROKER_URL: expected amqp://user:password@host:port/vhost")
    from broker.rabbitmq.broker import RabbitBroker, RabbitConfig  # 5 MB that an embedded installation does not need

    url = settings.broker_url
    if heartbeat_s is not None and "heartbeat=" not in url:
        url += f"{'&' if '?' in url else '?'}heartbeat={math.ceil(heartbeat_s)}"
    return RabbitBroker(url, server, RabbitConfig(users=settings.broker_users, tend_s=TEND_S if server == GLOBAL else None))


def store_url(settings: Settings, server: str) -> str:
    """The URL of a server's database: the setting, or a SQLite file in the data directory."""
    return settings.store_url or f"sqlite:///{settings.data / server}.db"


def keys_directory(settings: Settings) -> Path:
    """Where the keys lie, if not in PostgreSQL; else where they would lie without a setting."""
    file = sqlite_file(settings.keys_url) if settings.keys_url else None
    return file.parent if file is not None else settings.data / "keys"


def signing_key(settings: Settings) -> Path:
    """The file of the key with which a Global Server signs tokens: the setting, or a file in its data directory."""
    return settings.signing_key_file or settings.data / GLOBAL / "signing-key.pem"


def _registry_keys(settings: Settings) -> tuple[str, ...]:
    """Where the keys of the Global Server lie, if a home with these settings shares its directory or its database."""
    database = settings.keys_url or settings.store_url
    file = f"sqlite:///{settings.data / 'keys' / GLOBAL}.db"
    return (file,) if not database or sqlite_file(database) is not None else (file, database)


def host_here(settings: Settings) -> str:
    """The host at which a server of this machine is reached from this machine."""
    return "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104 - the operator set it


def public_url(settings: Settings, port: int) -> str:
    """The URL at which clients reach a server on `port`."""
    return settings.public_url or f"http://{host_here(settings)}:{port}"


@contextlib.asynccontextmanager
async def running_home(
    settings: Settings,
    name: str,
    port: int,
    broker: Broker,
    *,
    shared: bool = True,
    made: Callable[[HomeServer], None] = lambda home: None,
    scheduler: Scheduler | None = None,
) -> AsyncIterator[HomeServer]:
    """A running Home Server. On PostgreSQL this waits for the lease, and a home that was set back may wait for its ops; `made` is called
    before that. `shared`: other processes use the broker, too; `scheduler`: of the process, when there is one. Raises `BadSetting`, and
    `Unavailable` for an address in use or a store that cannot be opened."""
    if not HOME_NAME.fullmatch(name) or name == GLOBAL:
        raise BadSetting(f"{name!r} is no name for a home: expected a letter, then up to 31 of a-z 0-9 _ -, and not {GLOBAL!r}")
    config = HomeConfig(
        name=name,
        url=public_url(settings, port),
        store_url=store_url(settings, name),
        directory=settings.data / name,
        blank_s=settings.blank_s,
        housekeeping=HousekeepingConfig(settings.restart_grace_s, settings.message_ttl_s),
        holder=f"{socket.gethostname()}:{settings.data.resolve()}",
        lease_s=settings.lease_s,
        shared_broker=shared,
        seals=SealPolicy(settings.seal_events, settings.seal_s),
        writer=WriterConfig(max_state_bytes=settings.states_mb * 1_000_000),
        keys_url=settings.keys_url,
        enrolment=settings.enroll,
        registry_keys=_registry_keys(settings),
        old_clients=settings.old_clients,
    )
    async with alone_in_turn(settings.data / f"{name}.lock", scheduler) as scheduler:
        home = await _assembled(partial(assemble_home, scheduler=scheduler), config, broker)
        registry = CollectorRegistry()
        registry.register(HomeMetrics(home))
        direct, proxies = DirectConfig(settings.direct_networks), TrustedProxies(settings.trusted_proxies)
        limits, watch = settings.limits, Watch(home.load, home.throttling)
        edge = home_edge(home, home.verifier, direct=direct, proxies=proxies, registry=registry, limits=limits, watch=watch)
        registry.register(home_queues(home, edge.holdings))
        try:
            made(home)
            await _listen(edge, settings.host, port)  # before the home starts, because a standby must say that it is one
            await home.start()
            yield home
        finally:
            await home.stop()
            await edge.stop(DRAIN_S)


@contextlib.asynccontextmanager
async def running_global(settings: Settings, port: int, broker: Broker, scheduler: Scheduler | None = None) -> AsyncIterator[GlobalServer]:
    """The running Global Server. One that was set back waits for its ops here, and listens meanwhile. Raises `Unavailable` for an
    address in use or a store that cannot be opened."""
    config = GlobalConfig(
        store_url=store_url(settings, GLOBAL),
        directory=settings.data / GLOBAL,
        key_file=signing_key(settings),
        token_lifetime_s=settings.token_lifetime_s,
        old_clients=settings.old_clients,
        registrations_per_s=settings.registrations_per_s,
        ops=settings.ops,
        integrators=settings.integrators,
        blank_s=settings.blank_s,
        seals=SealPolicy(settings.seal_events, settings.seal_s),
        writer=WriterConfig(max_state_bytes=settings.states_mb * 1_000_000),
        keys_url=settings.keys_url,
    )
    async with alone_in_turn(settings.data / f"{GLOBAL}.lock", scheduler) as scheduler:
        server = await _assembled(partial(assemble_global, scheduler=scheduler), config, broker)
        identity, own = server.lifecycle.trust.identity, partial(own_key, keys_directory(settings))
        audit = Audit(broker, config.directory / "audit.db", None, lambda: identity.public, broker.speaks_for, own)
        registry = CollectorRegistry()
        registry.register(GlobalMetrics(server, audit))
        proxies, limits, watch = TrustedProxies(settings.trusted_proxies), settings.limits, Watch(server.load, server.heavy.throttling)
        console = OpsConsole(server, audit)
        pages = console_routes(console, server.console_verifier, proxies, public_url(settings, port), tails := Tails(console))
        edge = global_edge(server, server.verifier, proxies=proxies, pages=pages, registry=registry, limits=limits, watch=watch)
        registry.register(global_queues(server, edge.holdings, tails.holdings))
        try:
            await _listen(edge, settings.host, port)  # before it starts, because one that waits for its ops must say so
            if settings.ops:  # without ops nobody may read an audit, so none is kept; later it catches up from the history
                await audit.open()
            await server.start()
            if settings.ops:
                audit.start()
            yield server
        finally:
            server.end_streams()  # otherwise the edge would wait for these streams to end
            console.stop()
            await edge.stop(DRAIN_S)
            await server.stop()
            await audit.stop()


@contextlib.asynccontextmanager
async def running_all(settings: Settings, homes: int, port: int) -> AsyncIterator[None]:
    """A whole installation in this process: the Global Server on `port`, homes h1, h2… on the ports after it, an embedded broker."""
    from broker.embedded.broker import EmbeddedBroker

    settings.data.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(alone_in_turn(settings.data / "broker.lock"))
        broker = EmbeddedBroker(settings.data / "broker.db")
        await broker.start()
        stack.push_async_callback(broker.close)
        await broker.wait_connected(DRAIN_S)
        await stack.enter_async_context(running_global(settings, port, broker, scheduler))
        for number in range(1, homes + 1):
            await stack.enter_async_context(_home_apart(settings, f"h{number}", port + number, broker, scheduler))
        yield


@contextlib.asynccontextmanager
async def _home_apart(settings: Settings, name: str, port: int, broker: Broker, scheduler: Scheduler) -> AsyncIterator[None]:
    """A home that runs in a task of its own, so that the others start although this one waits for its ops. Raises as `running_home`."""
    made: asyncio.Future[HomeServer] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        async with running_home(settings, name, port, broker, shared=False, made=made.set_result, scheduler=scheduler):
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    try:
        first: list[asyncio.Future[Any]] = [task, made]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if made.done():
            home = made.result()
            known: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(event.wait()) for event in (home.global_client.announced, home.lifecycle.keeper.waiting)
            ]
            await asyncio.wait([task, *known], timeout=ANNOUNCE_S, return_when=asyncio.FIRST_COMPLETED)
            if not any(each.done() for each in (task, *known)):
                log.error("home.not_announced_in_time", home=name, why=home.global_client.refused)
            for each in known:
                each.cancel()
        if task.done():
            await task
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _assembled(assemble: Callable[[C, Broker], S], config: C, broker: Broker) -> S:
    """Put a server together in a thread, because its store may be slow. Who is told to stop meanwhile leaves nothing open."""
    making = asyncio.ensure_future(asyncio.to_thread(assemble, config, broker))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        await asyncio.wait([making])
        if making.exception() is None:
            await making.result().stop()
        raise


async def _listen(edge: EdgeServer, host: str, port: int) -> None:
    """Let the edge listen. Raises `Unavailable`, which names the address that cannot be had."""
    try:
        await edge.start(host, port)
    except OSError as error:
        raise Unavailable(f"Cannot listen on {host}:{port}: {error.strerror or error}.") from error


@contextlib.contextmanager
def cancelled_when_told_to_stop() -> Iterator[None]:
    """Cancel the block on SIGINT and SIGTERM. A standby may wait for months, and process 1 of a container has no default handlers."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    yield


def tune_interpreter() -> None:
    """Set the interpreter up for a server that has started: few garbage collections, and quick changes between threads."""
    gc.collect()
    gc.freeze()  # full collections need not examine again what lives as long as the process
    gc.set_threshold(50_000, 20, 50)  # the hot path makes few cycles, so garbage is collected seldom and in larger portions
    sys.setswitchinterval(SWITCH_S)


async def until_told_to_stop(*or_until: Awaitable[object]) -> None:
    """Work until SIGINT or SIGTERM, or until something happens."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tune_interpreter()
    memory = BackgroundTask("memory")
    memory.start(MemoryKeeper().run())
    waits = [asyncio.ensure_future(awaitable) for awaitable in (stop.wait(), *or_until)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for each in waits:
        each.cancel()
    await memory.stop()
    log.info("flash.stopping")
