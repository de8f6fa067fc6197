"""Every queue and cache has a bound, and a page lists them all. Rule: ask the code for what can grow, and the declarations for what may."""

from pathlib import Path

from broker.embedded.broker import EmbeddedBroker
from broker.publishers import Publishers
from broker.rabbitmq.broker import RabbitBroker
from broker.rabbitmq.stream import StreamReader
from broker.topology import HISTORY
from edge.assembly import global_edge, home_edge
from edge.console.live_tail import Tails
from servers.audit.audit import Audit
from servers.global_server.assembly import assemble as assemble_global
from servers.global_server.config import GlobalConfig
from servers.global_server.console import OpsConsole
from servers.global_server.metrics import global_queues
from servers.home.assembly import assemble as assemble_home
from servers.home.config import HomeConfig
from servers.home.metrics import home_queues
from servers.queue_metrics import QueueMetrics
from tests.docs import tree
from tests.docs.bounds import PAGE, TABLE, declared, table
from tests.docs.containers import containers, excused
from tests.edge.stand_ins import StandInGlobal, StandInHome, Tokens


def test_the_limits_page_lists_every_declaration() -> None:
    written = TABLE.search(tree.text(PAGE))
    assert written is not None, f"{PAGE} has no table of queues"
    assert written[0] == table(), f"{PAGE} is old: run `python -m tests.docs.bounds`"


def test_every_declaration_bounds_entries_and_bytes_and_says_who_is_refused() -> None:
    for path, bounds in declared().items():
        for bound in bounds:
            assert bound.entries > 0, f"{path}: {bound.name} has no bound in entries"
            assert bound.most_bytes > 0, f"{path}: {bound.name} has no bound in bytes"
            assert all((bound.holds, bound.filled_by, bound.past, bound.within)), f"{path}: {bound.name}"


def test_whatever_can_grow_has_a_declared_bound_or_a_reason_why_it_cannot() -> None:
    bounded = {f"{path} {name}" for path, bounds in declared().items() for bound in bounds for name in bound.within}
    there = containers()
    unbounded = sorted(there - bounded - excused().keys())
    assert not unbounded, "declare a `Bound` beside each of them (runtime/bounds.py), or say in containers.py why it cannot grow"
    assert not bounded - there, "a bound names what is not there"
    assert not excused().keys() - there, "containers.py excuses what is not there"
    assert not excused().keys() & bounded, "containers.py excuses what has a bound"


async def test_every_declaration_is_shown_in_metrics_and_no_other(tmp_path: Path) -> None:
    embedded, rabbit = EmbeddedBroker(tmp_path / "broker.db"), RabbitBroker("amqp://h1:secret@127.0.0.1:1", "h1")
    home = assemble_home(HomeConfig("h1", "http://127.0.0.1:1", f"sqlite:///{tmp_path}/h1.db", tmp_path / "h1"), embedded)
    directory = assemble_global(GlobalConfig(f"sqlite:///{tmp_path}/global.db", tmp_path / "global"), embedded)
    tails = Tails(OpsConsole(directory, Audit(embedded, tmp_path / "audit.db")))
    reader = StreamReader(HISTORY, "first", True, Publishers("h1", "h1"), lambda reader: None)
    try:
        shown = [
            *home_queues(home, home_edge(StandInHome(), Tokens()).holdings).collect(),
            *global_queues(directory, global_edge(StandInGlobal(), Tokens()).holdings, tails.holdings).collect(),
            *QueueMetrics(rabbit.holdings, reader.holdings).collect(),
        ]
    finally:
        home.lifecycle.store.close()
        directory.lifecycle.store.close()
        directory.passwords.close()
    names = {bound.name: bound for bounds in declared().values() for bound in bounds}
    for metric in ("flash_queue_entries", "flash_queue_bytes", "flash_queue_refused"):
        assert {sample.labels["queue"] for family in shown if family.name == metric for sample in family.samples} == set(names), metric
    bounded = {sample.labels["queue"] for family in shown if family.name == "flash_queue_most_bytes" for sample in family.samples}
    assert bounded == {name for name, bound in names.items() if not bound.per}
