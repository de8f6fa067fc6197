"""The topology is whole, and allowed by every RabbitMQ from 3.10 to 4.x."""

from broker.topology import BINDINGS, DEAD, EXCHANGES, QUEUES, STREAMS, inbox, inbox_binding


def test_every_binding_joins_what_is_declared() -> None:
    exchanges = {exchange.name for exchange in EXCHANGES}
    queues = {queue.name for queue in QUEUES} | {inbox("h1").name}
    for binding in (*BINDINGS, inbox_binding("h1")):
        assert binding.exchange in exchanges
        assert binding.queue in queues


def test_every_stream_is_fed_and_every_queue_is_replicated() -> None:
    assert {stream.name for stream in STREAMS} <= {binding.queue for binding in BINDINGS}
    for queue in (*QUEUES, inbox("h1")):
        assert queue.arguments["x-queue-type"] in ("quorum", "stream")


def test_an_inbox_has_one_active_consumer_and_a_queue_for_its_dead_letters() -> None:
    arguments = inbox("h1").arguments
    assert inbox("h1").name == "flash.home.h1"
    assert arguments["x-single-active-consumer"] is True
    assert arguments["x-dead-letter-exchange"] == DEAD
