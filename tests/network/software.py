"""nginx, haproxy and squid, started in a namespace. Rule: what matters for Flash stands in docs/networks; here is only where files go."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.network.namespaces import MIDDLE_IN, OUTSIDE, Place, program
from tests.support.waiting import wait_until

SNIPPETS = Path(__file__).parents[2] / "docs" / "networks"
SQUID_PORT = 3128  # as the snippet has it; the namespace is ours alone
START_S = 20.0

NGINX = """
user root;
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    upstream flash {{ server {home}; }}
    server {{
        listen {listen};
        {location}
    }}
}}
"""
# Somebody's idea of a fast proxy: it fills its buffers before it passes anything on, whatever the home asks for.
HOLDS_BACK = """
location / {
    proxy_pass http://flash;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_ignore_headers X-Accel-Buffering;
    proxy_buffering on;
    proxy_buffers 8 64k;
    proxy_buffer_size 64k;
    proxy_busy_buffers_size 128k;
    postpone_output 65536;
}
"""
# It gives up root for Debian's user `proxy`, who may write nowhere here: what it has to say goes to standard error.
SQUID = """
include {snippet}
pid_filename none
cache deny all
cache_mem 8 MB
cache_log /dev/null
access_log none
coredump_dir none
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname squid.test
"""


@contextlib.contextmanager
def running(
    place: Place, command: list[str], address: tuple[str, int], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A program in the foreground, for as long as it lasts. It runs as soon as somebody answers at its address."""

    def start() -> "subprocess.Popen[bytes]":
        with log.open("ab") as out:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(environment or {})})

    process = place.call(start)
    try:
        place.call(wait_until, lambda: _answers(process, address, log), START_S, f"{command[0]} answers at {address}")
        yield
    finally:
        process.terminate()
        process.wait(START_S)


def _answers(process: "subprocess.Popen[bytes]", address: tuple[str, int], log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")[-2000:]
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def nginx(place: Place, directory: Path, port: int, home_port: int, *, holds_back: bool = False) -> contextlib.AbstractContextManager[None]:
    """In front of a home; `holds_back`: not as we recommend it."""
    directory.mkdir(parents=True, exist_ok=True)
    location = HOLDS_BACK if holds_back else f"include {SNIPPETS}/nginx.conf;"
    config = directory / "nginx.conf"
    config.write_text(NGINX.format(directory=directory, home=f"{OUTSIDE}:{home_port}", listen=f"{OUTSIDE}:{port}", location=location))
    return running(place, [_needed("nginx"), "-c", str(config)], (OUTSIDE, port), directory / "nginx.log")


def haproxy(place: Place, directory: Path, port: int, home_port: int, *, patience: str = "90s") -> contextlib.AbstractContextManager[None]:
    """In front of a home; `patience`: how long a connection may be idle, if not for as long as we recommend."""
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "haproxy.cfg"
    config.write_text((SNIPPETS / "haproxy.cfg").read_text().replace("90s", patience))
    environment = {"LISTEN_ON": f"{OUTSIDE}:{port}", "HOME_SERVER": f"{OUTSIDE}:{home_port}"}
    command = [_needed("haproxy"), "-db", "-f", str(config)]
    return running(place, command, (OUTSIDE, port), directory / "haproxy.log", environment)


def squid(place: Place, directory: Path) -> contextlib.AbstractContextManager[None]:
    """The only way out of somebody's network."""
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "squid.conf"
    config.write_text(SQUID.format(snippet=SNIPPETS / "squid.conf"))
    return running(
        place,
        [_needed("squid"), "-N", "-d1", "-n", f"flash{os.getpid()}", "-f", str(config)],
        (MIDDLE_IN, SQUID_PORT),
        directory / "squid.log",
    )


def _needed(name: str) -> str:
    found = program(name)
    assert found is not None, f"{name} is not installed: scripts/test_needs.sh names its package"
    return found
