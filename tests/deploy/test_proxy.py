"""`deploy/nginx.conf` in a real nginx: TLS outside, what every answer carries, and streams that pass at once. Rule: only paths, ports and
addresses are changed in the file."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.assembly import home_edge
from tests.docs import tree
from tests.edge.raw_client import ANN, RawClient
from tests.edge.stand_ins import StandInHome, Tokens
from tests.support.ports import free_ports
from tests.support.rabbitmq import answers
from tests.support.waiting import eventually

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
HSTS = "max-age=31536000"


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert await process.wait() == 0, process.stderr and await process.stderr.read()


@pytest.fixture
async def raw_client(tmp_path: Path) -> AsyncIterator[RawClient]:
    """A TLS connection through nginx to a home."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subject = ("-subj", "/CN=localhost", "-days", "2", "-nodes")
    await run(
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        *subject,
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    )
    edge = home_edge(StandInHome(), Tokens())
    await edge.start("127.0.0.1", 0)
    (port,) = free_ports(1)
    config = tree.text(Path("deploy/nginx.conf"))
    for ours, here in {
        " /tmp/": f" {tmp_path}/",
        "/run/secrets/certificate_key": str(key),
        "/run/secrets/certificate": str(certificate),
        "http://$server:8080": f"http://127.0.0.1:{edge.port}",
        "listen 8443": f"listen 127.0.0.1:{port}",
    }.items():
        assert ours in config
        config = config.replace(ours, here)
    (tmp_path / "nginx.conf").write_text(config)
    nginx = await asyncio.create_subprocess_exec(NGINX, "-e", "stderr", "-g", "daemon off;", "-c", str(tmp_path / "nginx.conf"))
    trusted = ssl.create_default_context(cafile=certificate)
    trusted.check_hostname = False
    try:
        await eventually(lambda: answers(port), 20)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
        yield RawClient(reader, writer)
        writer.close()
    finally:
        nginx.terminate()
        await nginx.wait()
        await edge.stop(drain_s=0.1)


async def test_every_answer_tells_browsers_to_come_over_tls_only(raw_client: RawClient) -> None:
    for path, headers, status in (
        ("/v1/contacts", ANN, 200),
        ("/h1/v1/contacts", ANN, 200),
        ("/v1/contacts", {}, 401),
        ("/nowhere", {}, 404),
    ):
        answer = await raw_client.ask("GET", path, headers=headers)
        assert (answer.status, answer.headers["strict-transport-security"]) == (status, HSTS)
        assert answer.headers["x-content-type-options"] == "nosniff"
    answer = await raw_client.ask("POST", "/v1/messages", b"x" * 70_000, ANN)  # nginx refuses this one itself
    assert (answer.status, answer.headers["strict-transport-security"]) == (413, HSTS)
    assert answer.headers["server"] == "nginx"


async def test_a_stream_passes_at_once_and_carries_it_too(raw_client: RawClient) -> None:
    raw_client.request("POST", "/v1/back-connection", headers=ANN)
    status, headers, _ = await raw_client.head()
    assert (status, headers["strict-transport-security"]) == (200, HSTS)
    assert b"welcome" in await raw_client.until(b"}")
