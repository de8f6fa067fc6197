"""A home's edge and the Global Server's, each on a free port, in front of a stand-in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

import pytest
import uvloop

from edge.assembly import global_edge, home_edge
from edge.http.client_address import TrustedProxies
from edge.http.limits import Limits
from edge.http.server import EdgeServer
from tests.edge.raw_client import RawClient, raw_client_to
from tests.edge.stand_ins import StandInGlobal, StandInHome, Tokens


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Flash runs on uvloop; everything must hold on the standard loop as well."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@dataclass
class RunningHome:
    """A home's edge, and what stands behind it."""

    edge: EdgeServer
    home: StandInHome


@dataclass
class RunningGlobal:
    """The Global Server's edge, and what stands behind it."""

    edge: EdgeServer
    server: StandInGlobal


@pytest.fixture
def limits() -> Limits:
    """What clients may cost; a test that needs others overrides this."""
    return Limits()


@pytest.fixture
def proxies(request: pytest.FixtureRequest) -> TrustedProxies:
    """Those in front of the home: none, unless a test names some networks."""
    return TrustedProxies(map(ip_network, getattr(request, "param", ())))


@pytest.fixture
async def home(limits: Limits, proxies: TrustedProxies) -> AsyncIterator[RunningHome]:
    behind = StandInHome()
    edge = home_edge(behind, Tokens(), limits=limits, proxies=proxies)
    await edge.start("127.0.0.1", 0)
    yield RunningHome(edge, behind)
    await edge.stop(drain_s=0.1)


@pytest.fixture
async def global_server() -> AsyncIterator[RunningGlobal]:
    behind = StandInGlobal()
    edge = global_edge(behind, Tokens())
    await edge.start("127.0.0.1", 0)
    yield RunningGlobal(edge, behind)
    await edge.stop(drain_s=0.1)


@pytest.fixture
async def raw_client(home: RunningHome) -> AsyncIterator[RawClient]:
    """A connection to the home."""
    async with raw_client_to(home.edge.port) as raw_client:
        yield raw_client
