"""An installation in containers: two people talk over TLS, and whatever is killed under load, nothing is lost, doubled or out of order."""

import asyncio
import os
import random
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from tests.compose.containers import SERVER, SERVICES, Compose
from tests.faults.checker import Ledger, verify
from tests.faults.people import Crowd, Person, chatter
from tests.support.waiting import eventually

LINES = re.compile(r"^```sh containers\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROOT = Path(__file__).parents[2]
SEED = int(os.environ["FLASH_TEST_SEED"])
BACK_S = 90.0  # a broker or database that starts, homes that pause between their attempts, clients that do too


async def test_the_readmes_lines_make_two_people_talk_over_tls(compose: Compose, tell: Callable[[str], None], tmp_path: Path) -> None:
    """As printed: with nothing changed but the server's port and where grants are kept."""
    (lines,) = LINES.findall((ROOT / "README.md").read_text())
    script = "set -eu\n" + lines.replace("https://localhost:8443", SERVER)
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
    passwords = [(ROOT / "deploy/secrets" / name).read_text() for name in ("postgres_password", "broker_url")]
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


async def test_each_service_is_killed_once_under_load(compose: Compose, tell: Callable[[str], None]) -> None:
    """`kill -9`, then started again, while eight people talk through the proxy."""
    print(f"FLASH_TEST_SEED={SEED}")
    async with Crowd(SERVER, secrets.token_hex(4)) as crowd:
        people = await crowd.settle_in(8)
        ann, bob = (next(person for person in people if person.home == home) for home in ("h1", "h2"))
        ledger, chance = Ledger(), random.Random(SEED)
        for service in SERVICES:
            accepted = len(ledger.accepted)
            async with chatter(people, ledger, chance):
                await ledger.grown(chance.randint(20, 120))
                await asyncio.to_thread(compose.kill, service)
                await ledger.grown(chance.randint(0, 20) if service not in ("postgres", "proxy") else 0)
                healthy_s = await asyncio.to_thread(compose.start, service)
                normal_s = healthy_s + await a_popup_takes_s(ann, bob, ledger)
                await ledger.grown(50, BACK_S)
            verdict = await verify(ledger, people)
            tell(
                f"kill -9 {service:<9} rounds 1, accepted {len(ledger.accepted) - accepted}, "
                f"healthy after {healthy_s:.1f} s, normal after {normal_s:.1f} s, lost 0, doubled 0, out of order 0"
            )
        tell(f"seed {SEED}: {verdict}")


async def a_popup_takes_s(ann: Person, bob: Person, ledger: Ledger) -> float:
    """Seconds until a popup from one home to the other is shown."""
    began = time.monotonic()
    message = await ann.insists(bob, ledger)
    await eventually(lambda: any((ann.uid, message.id) in window.shown_once for window in bob.windows), BACK_S)
    return time.monotonic() - began
