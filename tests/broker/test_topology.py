"""The topology is whole, and allowed by every RabbitMQ from 3.10 to 4.x."""

from broker.topology import (
    BINDINGS,
    DEAD,
    EXCHANGES,
    HEARTBEAT_LOG,
    QUEUES,
    STREAMS,
    asked_server,
    inbox,
    inbox_of,
    request_key,
    server_bindings,
    server_queues,
)


def test_every_binding_joins_what_is_declared() -> None:
    exchanges = {exchange.name for exchange in EXCHANGES}
    queues = {queue.name for queue in (*QUEUES, *server_queues("h1"))}
    for binding in (*BINDINGS, *server_bindings("h1")):
        assert binding.exchange in exchanges
        assert binding.queue in queues


def test_every_stream_is_fed_and_every_queue_is_replicated() -> None:
    assert {stream.name for stream in STREAMS} <= {binding.queue for binding in BINDINGS}
    for queue in (*QUEUES, *server_queues("h1")):
        assert queue.arguments["x-queue-type"] in ("quorum", "stream")


def test_an_inbox_has_one_active_consumer_and_a_queue_for_its_dead_letters() -> None:
    arguments = inbox("h1").arguments
    assert inbox("h1").name == "flash.home.h1"
    assert arguments["x-single-active-consumer"] is True
    assert arguments["x-dead-letter-exchange"] == DEAD


def test_a_question_goes_to_the_server_of_its_key() -> None:
    assert {server: request_key(server) for server in ("global", "h1")} == {"global": "global", "h1": "home.h1"}
    assert all(asked_server(request_key(server)) == server for server in ("global", "h1"))


def test_a_dead_letter_goes_back_into_an_inbox_only() -> None:
    assert inbox_of("flash.home.h1") == "h1"
    assert [inbox_of(queue) for queue in ("flash.history", "flash.dead", "flash.home.", "", "crm")] == [None] * 5


def test_no_exchange_is_called_as_a_queue_that_homes_may_read() -> None:
    """RabbitMQ's rights name both alike: a home that may read an exchange can bind it to another one, whose keys then mean nothing."""
    assert not {exchange.name for exchange in EXCHANGES} & {HEARTBEAT_LOG, *(queue.name for queue in server_queues("h1"))}
