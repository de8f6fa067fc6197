"""`docs/asyncapi.yaml` is sound, names what the broker has, and fits what two running homes say. Rule: ask the code and the servers."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgpack
import pytest
import yaml

from broker import topology
from broker.topology import BINDINGS, EXCHANGES, STREAMS
from domain.registry.registered_home import GLOBAL, HOME_NAME
from servers.messaging.presence_events import ERA_TYPE, TYPE, era_began
from servers.trust.publications import HistorySigner
from servers.trust.server_identity import ServerIdentity, new_key
from tests.docs import tree
from tests.servers.homes import Town

DOCUMENT: dict[str, Any] = yaml.safe_load(tree.text(Path("docs/asyncapi.yaml")))
CHANNELS, MESSAGES = DOCUMENT["channels"], DOCUMENT["components"]["messages"]
HISTORY = DOCUMENT["components"]["schemas"]["EventsCommitted"]
# AsyncAPI 3.0 and its AMQP binding 0.3.0: what may stand in each object; anything else begins with `x-`.
ALLOWED = {
    "document": {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"},
    "channel": {"address", "messages", "title", "summary", "description", "servers", "parameters", "tags", "externalDocs", "bindings"},
    "parameter": {"enum", "default", "description", "examples", "location"},
    "operation": {
        *(
            "action",
            "channel",
            "title",
            "summary",
            "description",
            "security",
            "tags",
            "externalDocs",
            "bindings",
            "traits",
            "messages",
            "reply",
        )
    },
    "message": {
        *("headers", "payload", "correlationId", "contentType", "name", "title", "summary", "description", "tags", "externalDocs"),
        *("bindings", "examples", "traits"),
    },
    "amqp": {"is", "exchange", "queue", "bindingVersion"},
    "exchange": {"name", "type", "durable", "autoDelete", "vhost"},
    "queue": {"name", "durable", "exclusive", "autoDelete", "vhost"},
}


def resolve(ref: str) -> Any:
    """What a `$ref` of this document points to. Raises `KeyError`."""
    found: Any = DOCUMENT
    for step in ref.removeprefix("#/").split("/"):
        found = found[step]
    return found


def refs(part: Any) -> Iterator[str]:
    """Every `$ref` below."""
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
    for child in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from refs(child)


def schema(message: str) -> jsonschema_rs.Draft7Validator:
    """The judge of one message's payload. AsyncAPI's own schema language is a superset of draft 7."""
    pointer = MESSAGES[message]["payload"]["$ref"]
    return jsonschema_rs.Draft7Validator({"$ref": pointer, "components": DOCUMENT["components"]})


def strays(part: dict[str, Any], kind: str) -> set[str]:
    return {key for key in part if key not in ALLOWED[kind] and not key.startswith("x-")}


def test_every_object_has_only_fields_of_the_standard() -> None:
    assert re.fullmatch(r"3\.0\.\d+", DOCUMENT["asyncapi"])
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert not strays(DOCUMENT, "document")
    assert {("amqp", "127.0.0.1:5672")} == {(server["protocol"], server["host"]) for server in DOCUMENT["servers"].values()}
    for name, message in MESSAGES.items():
        assert not strays(message, "message"), name
        assert message["examples"], name
    for name, channel in CHANNELS.items():
        binding = channel["bindings"]["amqp"]
        place = "queue" if binding["is"] == "queue" else "exchange"
        assert not strays(channel, "channel") | strays(binding, "amqp") | strays(binding[place], place), name
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel.get("parameters", {})), name
        assert not [key for parameter in channel.get("parameters", {}).values() for key in strays(parameter, "parameter")], name


def test_every_reference_leads_somewhere_and_every_channel_is_used() -> None:
    for ref in refs(DOCUMENT):
        assert resolve(ref), ref
    for name, operation in DOCUMENT["operations"].items():
        assert not strays(operation, "operation"), name
        assert operation["action"] == "send", "we send, others receive"
        assert all(message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/") for message in operation["messages"]), name
    assert {f"#/channels/{name}" for name in CHANNELS} == {operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()}


def test_exchanges_and_streams_are_those_of_the_topology() -> None:
    public = {topology.PRESENCE, topology.EVENTS}
    described = {
        c["bindings"]["amqp"]["exchange"]["name"]: c["bindings"]["amqp"]["exchange"] for c in CHANNELS.values() if "parameters" in c
    }
    assert {name: (each["type"], each["durable"]) for name, each in described.items()} == {
        each.name: (each.kind, True) for each in EXCHANGES if each.name in public
    }
    kept = {c["bindings"]["amqp"]["queue"]["name"]: c for c in CHANNELS.values() if c["bindings"]["amqp"]["is"] == "queue"}
    assert {name: channel["x-queue-arguments"] for name, channel in kept.items()} == {
        stream.name: dict(stream.arguments) for stream in STREAMS
    }
    bound = {(c["x-bound-to"]["exchange"], name, c["x-bound-to"]["key"]) for name, c in kept.items()}
    assert bound == {(b.exchange, b.queue, b.key) for b in BINDINGS if b.queue in kept}
    assert DOCUMENT["components"]["schemas"]["Server"]["pattern"].strip("^$") == HOME_NAME.pattern
    assert MESSAGES["presenceChanged"]["name"] == TYPE
    assert MESSAGES["presenceEraBegan"]["name"] == ERA_TYPE


OPTIONAL = {"presenceChanged": {"era", "life"}}  # fields that messages of before lack


def test_the_examples_fit_their_schemas_and_bad_ones_do_not() -> None:
    for name, message in MESSAGES.items():
        for example in message["examples"]:
            schema(name).validate(example["payload"])
            for field in example["payload"].keys() - OPTIONAL.get(name, set()):
                assert not schema(name).is_valid({key: value for key, value in example["payload"].items() if key != field}), field


def test_the_message_that_begins_an_era_of_the_feed_fits_its_schema() -> None:
    told = json.loads(era_began(ServerIdentity(GLOBAL, new_key()), 2, 1, 0.0).body)
    schema("presenceEraBegan").validate(told)
    assert set(told) == set(DOCUMENT["components"]["schemas"]["PresenceEraBegan"]["properties"])


@pytest.fixture
async def town(tmp_path):
    town = Town(tmp_path)
    await town.start("h1", "h2")
    yield town
    await town.stop()


def fits_history(told: dict[str, Any]) -> None:
    assert set(told) == set(HISTORY["properties"])
    for binary in ("certificate", "signature"):
        told[binary] = base64.b64encode(told[binary]).decode()
    schema("eventsCommitted").validate(told)


async def test_what_two_running_homes_say_fits_the_schemas(town: Town) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.adds(bob)
    session, window = await bob.opens()
    await ann.opens()
    await ann.sends(bob, "pop over?")
    await town.settled()
    await bob.acks(session, window)
    await bob.home.set_status(bob.who, "dnd", "busy", None)
    await bob.home.log_off(bob.who, session.id)
    await town.settled()

    changes = [item.body async for item in town.broker.read_stream(topology.PRESENCE_LOG, "first", follow=False)]
    for body in changes:
        schema("presenceChanged").validate(json.loads(body))
    statuses = [(change["data"]["handle"], change["data"]["status"], change["data"]["reason"]) for change in map(json.loads, changes)]
    assert sorted(statuses) == [
        ("ann", "online", "login"),
        ("bob", "dnd", "status"),
        ("bob", "offline", "logoff"),
        ("bob", "online", "login"),
    ]

    topics: set[str] = set()
    async for item in town.broker.read_stream(topology.HISTORY, "first", follow=False):
        told = msgpack.unpackb(item.body)
        for event in told["events"]:
            assert isinstance(msgpack.unpackb(event["data"]), dict)
            event["data"] = base64.b64encode(event["data"]).decode()
            topics.add(event["topic"])
        fits_history(told)
    fits_history(msgpack.unpackb(HistorySigner(ann.home.lifecycle.trust, town.clock).publication(2, (0, 0, 0), 0, 0, ())))
    assert {"user.logged_in", "user.message_sent", "mailbox.message_queued", "mailbox.messages_delivered"} <= topics
