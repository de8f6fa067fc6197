"""Users of a RabbitMQ with what `deploy/rabbitmq/permissions.sh` grants. Rule: the script is asked, and nothing of it is repeated here."""

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


def allow(rabbit: AnyRabbit, server: str, url: str, *, queues: bool = True) -> None:
    """A user for the server on the vhost of `url`, with what the script grants; and the server's queues."""
    vhost = URL(url).path.removeprefix("/")
    if server not in rabbit.ctl("list_users"):
        rabbit.ctl("add_user", server, f"{server}-password")
    commands, definitions = granted_by(server, vhost)
    for command in commands:
        rabbit.ctl(*command)
    if queues:
        # What `rabbitmqctl import_definitions` calls; that takes a file, and a container sees none of ours.
        text = json.dumps(definitions).replace("\\", r"\\").replace('"', r"\"")
        rabbit.ctl("eval", f'ok = rabbit_definitions:import_raw(<<"{text}">>).')
