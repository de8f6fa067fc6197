"""Users of a RabbitMQ with what `deploy/rabbitmq/permissions.sh` grants. Rule: the script is asked, and nothing of it is repeated here."""

import base64
import hashlib
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

from yarl import URL

from tests.support.rabbitmq_choice import AnyRabbit

SCRIPT = Path(__file__).parents[2] / "deploy/rabbitmq/permissions.sh"


def printed(*arguments: str) -> str:
    """What the script prints."""
    return subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, check=True).stdout


def granted_by(server: str, vhost: str) -> tuple[list[list[str]], dict[str, Any]]:
    """The commands for rabbitmqctl, and the definitions of the server's queues."""
    commands, _, queues = printed(server, vhost).partition("rabbitmqctl import_definitions <<'DEFINITIONS'\n")
    lines = [shlex.split(line) for line in commands.splitlines()]
    assert all(line[0] == "rabbitmqctl" for line in lines)
    return [line[1:] for line in lines], json.loads(queues.removesuffix("DEFINITIONS\n"))


def user_url(url: str, server: str) -> str:
    """The URL of a vhost for the user of a server."""
    return str(URL(url).with_user(server).with_password(f"{server}-password"))


def allow(rabbit: AnyRabbit, url: str, *servers: str, queues: bool = True) -> None:
    """A user for each server on the vhost of `url`, with what the script grants; and the servers' queues."""
    vhost = URL(url).path.removeprefix("/")
    granted: dict[str, list[Any]] = {"users": [_user(server) for server in servers]}
    for server in servers:
        told = json.loads(f"{{{printed('-j', server, vhost)}}}")
        for kind in ("permissions", "topic_permissions", *(("queues", "bindings") if queues else ())):
            granted.setdefault(kind, []).extend(told[kind])
    # What `rabbitmqctl import_definitions` calls, which takes a file, and a container sees none of ours. Each call takes a second.
    text = json.dumps(granted).replace("\\", r"\\").replace('"', r"\"")
    rabbit.ctl("eval", f'ok = rabbit_definitions:import_raw(<<"{text}">>).')


def _user(server: str) -> dict[str, str]:
    """As RabbitMQ stores it: four bytes of salt, and SHA-256 over salt and password."""
    salt = b"salt"
    hashed = base64.b64encode(salt + hashlib.sha256(salt + f"{server}-password".encode()).digest()).decode()
    return {"name": server, "password_hash": hashed, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
