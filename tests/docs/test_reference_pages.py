"""Every route, event and metric is described, and nothing is described that does not exist. Rule: ask the running code, not a list."""

import importlib
import pkgutil
import re
from pathlib import Path

from prometheus_client import CollectorRegistry

import domain
from broker.embedded.broker import EmbeddedBroker
from domain.event import Event
from edge.assembly import global_edge, home_edge
from edge.http.server import EdgeServer
from servers.audit.audit import Audit
from servers.global_server.assembly import assemble as assemble_global
from servers.global_server.config import GlobalConfig
from servers.global_server.metrics import GlobalMetrics, global_queues
from servers.home.assembly import assemble as assemble_home
from servers.home.config import HomeConfig
from servers.home.metrics import HomeMetrics, home_queues
from tests.docs import tree
from tests.edge.stand_ins import StandInGlobal, StandInHome, Tokens

PROTOCOL, EVENTS, METRICS = Path("docs/protocol.md"), Path("docs/events.md"), Path("docs/metrics.md")


async def edges(tmp_path: Path) -> list[EdgeServer]:
    """A Global Server's edge and a home's, with all that each of them counts."""
    of_home, of_global = CollectorRegistry(), CollectorRegistry()
    broker = EmbeddedBroker(tmp_path / "broker.db")
    home = assemble_home(HomeConfig("h1", "http://127.0.0.1:1", f"sqlite:///{tmp_path}/h1.db", tmp_path / "h1"), broker)
    of_home.register(HomeMetrics(home))
    of_home.register(home_queues(home))
    directory = assemble_global(GlobalConfig(f"sqlite:///{tmp_path}/global.db", tmp_path / "global"), broker)
    of_global.register(GlobalMetrics(directory, Audit(broker, tmp_path / "audit.db")))
    of_global.register(global_queues(directory))
    try:
        return [global_edge(StandInGlobal(), Tokens(), registry=of_global), home_edge(StandInHome(), Tokens(), registry=of_home)]
    finally:
        home.lifecycle.store.close()
        directory.lifecycle.store.close()
        directory.passwords.close()


def calls(page: Path) -> set[str]:
    """`METHOD /path` as the protocol's tables name them, without query."""
    return {
        f"{method} {path}"
        for methods, path in re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE)(?:\|[A-Z]+)*) (/v1/[^`?]*)", tree.text(page))
        for method in methods.split("|")
    }


async def test_the_protocol_page_names_every_call_and_no_other(tmp_path: Path) -> None:
    routes = {f"{r.method} {r.path}" for edge in await edges(tmp_path) for r in edge.routes if r.path.startswith("/v1/")}
    assert routes == calls(PROTOCOL)


def concrete(kind: type[Event]) -> set[type[Event]]:
    """The event classes below `kind` that are stored."""
    below = {kind for sub in kind.__subclasses__() for kind in concrete(sub)}
    return below | ({kind} if "TOPIC" in vars(kind) else set())


def test_the_events_page_names_every_topic_and_no_other() -> None:
    for module in pkgutil.walk_packages(domain.__path__, "domain."):  # wherever an event lives, it is known from here on
        importlib.import_module(module.name)
    topics = {kind.TOPIC for kind in concrete(Event) if kind.__module__.startswith("domain.")}
    named = set(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", tree.text(EVENTS), re.MULTILINE))
    assert topics == named


async def test_the_metrics_page_names_every_metric_and_no_other(tmp_path: Path) -> None:
    exported = {metric.name for edge in await edges(tmp_path) for metric in edge.metrics.registry.collect()}
    assert exported == set(re.findall(r"^\| `(flash_[a-z_]+)` \|", tree.text(METRICS), re.MULTILINE))
