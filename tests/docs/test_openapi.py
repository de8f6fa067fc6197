"""The OpenAPI documents are written down as served, sound and true: schemathesis asks running servers everything they say they answer.

Streams are left out because their answers never end, so nothing could be compared with them; `tests/edge` reads them to the byte.
The suite runs a short piece. A long one asks with every phase and many examples:
`FLASH_TEST_EXAMPLES=1000 pytest tests/docs/test_openapi.py --timeout 0 -s`.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import openapi_spec_validator
import pytest
import yaml

from broker.embedded.broker import EmbeddedBroker
from edge.assembly import global_edge
from edge.http.server import EdgeServer
from flash.process.compose import running_home
from flash.process.settings import Settings
from flash_sdk import FlashClient
from servers.global_server.assembly import assemble
from servers.global_server.config import GlobalConfig
from servers.security.integrators import read_grants
from servers.security.passwords import CHEAP
from tests.docs import tree
from tests.docs.openapi import documents
from tests.support.ports import free_ports

EXAMPLES = int(os.environ.get("FLASH_TEST_EXAMPLES", "8"))  # per call and asker, good and bad ones; each run has others
PHASES = "fuzzing" if EXAMPLES <= 25 else "examples,coverage,fuzzing,stateful"  # every bound of every field takes half a minute
SEED = int(os.environ["FLASH_TEST_SEED"])
STREAMS = {"global": "/v1/presence/stream", "home": "/v1/(back-connection|parts)"}  # a poll waits for up to a minute
PASSWORD = "correct horse"
PAGES = [Path("docs/openapi/global.json"), Path("docs/openapi/home.json")]
# What a schema cannot say may be refused: an unknown user or session, too many requests; and a time of a status must be to come.
# A text that is too long is too large (413), not just wrong (422).
CHECKS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 429]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 410, 413, 422, 429]

[[operations]]
include-path = "/v1/status"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 422, 429]
"""
ASKERS = {"user": "ann", "integrator": "crm", "ops": "olga", "nobody": None}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_page_says_what_the_code_says(page: Path) -> None:
    assert page in tree.files(), "run `python -m tests.docs.openapi`"
    assert tree.text(page) == documents()[page], "run `python -m tests.docs.openapi`"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_page_is_sound_for_readers_of_openapi_and_of_yaml(page: Path) -> None:
    document = yaml.safe_load(tree.text(page))
    assert document == json.loads(tree.text(page))
    openapi_spec_validator.validate(document)


@pytest.fixture
async def urls(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """A Global Server and a home in this process; passwords are cheap, and nothing else differs."""
    broker = EmbeddedBroker(tmp_path / "broker.db")
    config = GlobalConfig(
        f"sqlite:///{tmp_path}/global.db",
        tmp_path / "global",
        password_cost=CHEAP,
        integrators=read_grants("crm=all"),
        ops=frozenset({"olga"}),
        failed_logins_per_s=1e6,
        failed_logins_burst=1_000_000,
        failed_anywhere_per_s=1e6,
        failed_anywhere_burst=1_000_000,
        sign_ins_per_s=1e6,
        sign_ins_burst=1_000_000,
        profile_changes_burst=1_000_000,
    )
    async with AsyncExitStack() as stack:
        await broker.start()
        stack.push_async_callback(broker.close)
        server = assemble(config, broker)
        await server.start()
        stack.push_async_callback(server.stop)
        edge: EdgeServer = global_edge(server, server.verifier)
        await edge.start("127.0.0.1", 0)
        stack.push_async_callback(edge.stop, 0.1)
        port = free_ports(1)[0]
        home = await stack.enter_async_context(running_home(Settings(data=tmp_path), "h1", port, broker))
        await asyncio.wait_for(home.global_client.announced.wait(), 20)
        yield {"global": f"http://127.0.0.1:{edge.port}", "home": f"http://127.0.0.1:{port}"}


@pytest.mark.parametrize(
    ("server", "asker"),
    [("global", "user"), ("global", "integrator"), ("global", "ops"), ("global", "nobody"), ("home", "user"), ("home", "nobody")],
)
async def test_every_call_answers_as_it_is_described(urls: dict[str, str], server: str, asker: str, tmp_path: Path) -> None:
    handle = ASKERS[asker]
    headers: list[str] = []
    if handle is not None:
        async with FlashClient(urls["global"]) as client:
            grant = await client.register(handle, PASSWORD)
            await client.login(handle, PASSWORD)
            await client.add_contact(grant.uid)
            headers = ["--header", f"Authorization: Bearer {grant.token}"]
    print(f"FLASH_TEST_SEED={SEED}")
    (tmp_path / "schemathesis.toml").write_text(CHECKS)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", f"{urls[server]}/openapi.json", *headers, "--no-color", "--no-shrink", "--checks", "all", "--mode", "all"),
        *("--seed", str(SEED), "--max-examples", str(EXAMPLES), "--phases", PHASES),
        *("--exclude-path-regex", STREAMS[server], "--generation-database", "none", "--warnings", "off"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    print(said)
    assert process.returncode == 0, said
    assert "No issues found" in said, said
