"""An installation in containers: two people talk over TLS, and whatever is killed under load, nothing is lost, doubled or out of order."""

import asyncio
import os
import random
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compose.containers import SERVER, SERVICES, Compose
from tests.faults.checker import Ledger, verify
from tests.faults.people import Crowd, Person, chatter
from tests.support.waiting import eventually

LINES = re.compile(r"^```sh containers\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROOT = Path(__file__).parents[2]
SEED = int(os.environ["FLASH_TEST_SEED"])
SERVERS = ("global", "h1", "h2")
QUEUES = (
    *("flash.home.h1", "flash.calls.h1", "flash.home.h2", "flash.calls.h2", "flash.home.global"),
    *("flash.heartbeats", "flash.history", "flash.presence.log", "flash.dead"),
)
FOR_ALL = ["flash.heartbeats", "flash.history"]
BACK_S = 90.0  # a broker or database that starts, homes that pause between their attempts, clients that do too


async def test_the_readmes_lines_make_two_people_talk_over_tls(compose: Compose, tell: Callable[[str], None], tmp_path: Path) -> None:
    """As printed: with nothing changed but the server's port and where grants are kept."""
    (lines,) = LINES.findall((ROOT / "README.md").read_text())
    script = "set -eu; trap 'kill $(jobs -p) 2>/dev/null' EXIT\n" + lines.replace("https://localhost:8443", SERVER)
    environment = {**os.environ, "FLASH_PASSWORD": "correct horse battery", "FLASH_CONFIG_DIR": str(tmp_path)}
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await asyncio.wait_for(shell.communicate(), 60))[0].decode()
    assert shell.returncode == 0, said
    assert "pop over?" in said, said
    assert "delivered" in said, said
    for line in said.splitlines():
        tell(f"    {line}")


def test_the_containers_are_confined(compose: Compose) -> None:
    """Not root, nothing to write to but /data and /tmp, no capabilities; and no secret in an environment."""
    names = ("postgres_password", *(f"broker_url_{server}" for server in SERVERS))
    passwords = [(ROOT / "deploy/secrets" / name).read_text().split("@")[0].rpartition(":")[2] for name in names]
    for service in ("global", "h1", "h2", "proxy"):
        what = compose.inspect(service)
        host, config = what["HostConfig"], what["Config"]
        assert isinstance(host, dict)
        assert isinstance(config, dict)
        assert config["User"] == "10001:10001"
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] > 0
        assert host["PidsLimit"] > 0
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
    for service in SERVICES:
        assert not any(password in str(compose.inspect(service)["Config"]) for password in passwords)


def test_nothing_that_rabbitmq_gives_up_is_used(compose: Compose, tell: Callable[[str], None]) -> None:
    """It knows by itself what of the present use is deprecated. Says the versions, too."""
    version = compose.execute("rabbitmq", "rabbitmqctl", "version").strip()
    tell(f"RabbitMQ {version}, {compose.execute('postgres', 'postgres', '--version').strip()}")
    if int(version.partition(".")[0]) < 4:
        pytest.skip(f"RabbitMQ {version} does not tell what is deprecated")
    assert compose.execute("rabbitmq", "rabbitmqctl", "-q", "list_deprecated_features", "--used").split() == []


def test_a_homes_user_reads_its_own_queue_and_no_other(compose: Compose) -> None:
    """Tried from within: with the user and password that the container has."""
    script = Path(__file__).with_name("readable.py").read_text()

    def readable(server: str) -> list[str]:
        return compose.execute(server, "python3", "-", *QUEUES, entering=script).split()

    assert readable("h1") == ["flash.home.h1", "flash.calls.h1", *FOR_ALL]
    assert readable("h2") == ["flash.home.h2", "flash.calls.h2", *FOR_ALL]
    assert readable("global") == [*QUEUES]


async def test_the_servers_are_restarted_one_after_another_and_nobody_is_seen_to_leave(
    compose: Compose, tell: Callable[[str], None]
) -> None:
    """`deploy/rolling_restart.sh` by compose, through the proxy, under load: nothing lost, and contacts see no logoff."""
    async with Crowd(SERVER, secrets.token_hex(4)) as crowd:
        people = await crowd.settle_in(8)
        windows = [window for person in people for window in person.windows]
        ledger = Ledger()
        async with chatter(people, ledger, random.Random(SEED)):
            await ledger.grown(20)
            for window in windows:
                window.changes.clear()
            names = (f"global={SERVER}", f"h1={SERVER}/h1", f"h2={SERVER}/h2")
            command = ("deploy/rolling_restart.sh", compose.restart_command(), *names)
            environment = {**os.environ, "CURL_CA_BUNDLE": "deploy/secrets/certificate.pem"}
            restart = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE)
            said = (await asyncio.wait_for(restart.communicate(), 180))[0].decode()
            await ledger.grown(20)
        verdict = await verify(ledger, people)
    assert restart.returncode == 0, said
    assert all(window.welcomes == 2 and window.goodbyes for window in windows), "each was told goodbye and came back, once"
    left = [(change.uid, change.presence.status, change.reason) for window in windows for change in window.changes]
    assert not [change for change in left if change[1] == "offline"], left
    tell(f"rolling restart: {', '.join(said.splitlines())}; no logoff seen; {verdict}")


async def test_each_service_is_killed_once_under_load(compose: Compose, tell: Callable[[str], None]) -> None:
    """`kill -9`, then started again, while eight people talk through the proxy."""
    print(f"FLASH_TEST_SEED={SEED}")
    async with Crowd(SERVER, secrets.token_hex(4)) as crowd:
        people = await crowd.settle_in(8)
        ann, bob = (next(person for person in people if person.home == home) for home in ("h1", "h2"))
        ledger, chance = Ledger(), random.Random(SEED)
        for service in SERVICES:
            offered, accepted = sum(person.offered for person in people), len(ledger.accepted)
            async with chatter(people, ledger, chance):
                await ledger.grown(chance.randint(20, 120))
                await asyncio.to_thread(compose.kill, service)
                await ledger.grown(chance.randint(0, 20) if service not in ("postgres", "proxy") else 0)
                healthy_s = await asyncio.to_thread(compose.start, service)
                normal_s = healthy_s + await a_popup_takes_s(ann, bob, ledger)
                await ledger.grown(50, BACK_S)
            verdict = await verify(ledger, people)
            tell(
                f"kill -9 {service:<9} rounds 1, offered {sum(person.offered for person in people) - offered}, "
                f"accepted {len(ledger.accepted) - accepted}, "
                f"healthy after {healthy_s:.1f} s, normal after {normal_s:.1f} s, lost 0, doubled 0, out of order 0"
            )
        tell(f"seed {SEED}: {verdict}")


async def a_popup_takes_s(ann: Person, bob: Person, ledger: Ledger) -> float:
    """Seconds until a popup from one home to the other is shown."""
    began = time.monotonic()
    message = await ann.insists(bob, ledger)
    await eventually(lambda: any((ann.uid, message.id) in window.shown_once for window in bob.windows), BACK_S)
    return time.monotonic() - began
