"""`deploy/rabbitmq/definitions.json` is the topology table, and a real RabbitMQ takes it. Rule: the table has the say."""

import json
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from broker.rabbitmq.broker import RabbitBroker
from broker.topology import BINDINGS, EXCHANGES, QUEUES
from tests.support.rabbitmq_choice import AnyRabbit

FILE = Path(__file__).parents[3] / "deploy/rabbitmq/definitions.json"


def read() -> dict[str, list[dict[str, Any]]]:
    definitions: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text())
    return definitions


def test_the_file_is_the_topology_table() -> None:
    file = read()
    assert [(e["name"], e["type"], e["durable"]) for e in file["exchanges"]] == [(e.name, e.kind, True) for e in EXCHANGES]
    assert [(q["name"], q["durable"], q["arguments"]) for q in file["queues"]] == [(q.name, True, dict(q.arguments)) for q in QUEUES]
    assert [(b["source"], b["destination"], b["routing_key"]) for b in file["bindings"]] == [(b.exchange, b.queue, b.key) for b in BINDINGS]


async def test_rabbitmq_takes_it_and_a_server_finds_all_it_wants(rabbitmq: AnyRabbit) -> None:
    if not rabbitmq.can_be_controlled:
        pytest.skip("definitions can only be imported into a RabbitMQ of our own")
    url = rabbitmq.new_vhost()
    vhost = URL(url).path.removeprefix("/")
    here = json.dumps({kind: [each | {"vhost": vhost} for each in items] for kind, items in read().items() if kind != "vhosts"})
    text = here.replace("\\", r"\\").replace('"', r"\"")
    # What `rabbitmqctl import_definitions` calls; that takes a file, and a container sees none of ours.
    rabbitmq.ctl("eval", f'ok = rabbit_definitions:import_raw(<<"{text}">>).')
    assert "flash-presence-log" in rabbitmq.ctl("list_policies", "-p", vhost)
    broker = RabbitBroker(url, "h1")
    await broker.start()
    try:
        await broker.wait_connected(20)
        await broker.declare_inbox("h1")
        assert (await broker.depths()).keys() >= {"flash.dead", "flash.home.h1"}
    finally:
        await broker.close()
