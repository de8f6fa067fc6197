"""`deploy/rolling_restart.sh` while people talk, and where a server does not come back. Rule: it is run as ops run it."""

import asyncio
import contextlib
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.faults.checker import Ledger, verify
from tests.faults.installation import Installation
from tests.faults.people import Crowd, chatter
from tests.faults.supervisor import supervised
from tests.support.waiting import eventually

SCRIPT = Path(__file__).parents[2] / "deploy" / "rolling_restart.sh"


def restart(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the script."""
    return subprocess.run([str(SCRIPT), *arguments], check=False, capture_output=True, text=True, timeout=110)


async def test_every_server_is_restarted_under_load_and_nobody_is_seen_to_leave(
    installation: Installation, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Callable[[object], None], tmp_path: Path
) -> None:
    """No popup lost, doubled or out of order; contacts see no logoff, because everybody is back within the grace time."""
    people = await crowd.settle_in(6)
    windows = [window for person in people for window in person.windows]
    lives = [server.starts for server in installation.servers]
    names = [f"{server.name}={server.url}" for server in installation.servers]
    with supervised(installation.servers, tmp_path):
        async with chatter(people, ledger, chance):
            await ledger.grown(20)
            for window in windows:
                window.changes.clear()
            done = await asyncio.to_thread(restart, "-p", "2", f'kill -TERM "$(cat {tmp_path}/{{}}.pid)"', *names)
            await ledger.grown(20)
            await eventually(lambda: all(window.welcomes > 1 for window in windows), timeout_s=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [server.starts for server in installation.servers] == [starts + 1 for starts in lives]
    seen = [(window.welcomes, len(window.goodbyes)) for window in windows]
    assert seen == [(2, 1)] * len(windows), "each was told goodbye and came back, once"
    left = [(change.uid, change.presence.status, change.reason) for window in windows for change in window.changes]
    assert not [change for change in left if change[1] == "offline"], left
    tell(f"{', '.join(done.stdout.splitlines())}; no logoff seen; {await verify(ledger, people)}")


class StandIn(ThreadingHTTPServer):
    """Answers as a server does, in its first life until it is told otherwise."""

    life: float | None = 1.0
    ready = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """`/readyz` and `/metrics`; `/die` and `/renew` are what the restarting command does."""
        server = self.server
        assert isinstance(server, StandIn)
        match self.path:
            case "/die":
                server.ready = False
            case "/renew":
                server.life = 2.0
        ready = server.ready or self.path != "/readyz"
        self.send_response(200 if ready else 503)
        self.end_headers()
        told = self.path == "/metrics" and server.life is not None
        untold = b'{"warnings": ["The broker is away."]}' if ready and self.path == "/readyz" else b"not well"
        self.wfile.write(f"flash_started_seconds {server.life}\n".encode() if told else untold)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def stand_ins() -> Iterator[dict[str, StandIn]]:
    servers = {name: StandIn() for name in ("h1", "h2", "h3")}
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers.values()]
    for thread in threads:
        thread.start()
    yield servers
    for server in servers.values():
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()


def test_one_that_does_not_come_back_ends_the_round(tmp_path: Path) -> None:
    with stand_ins() as servers:
        command = tmp_path / "restart"
        cases = "".join(
            f"{name}) curl -so /dev/null {server.url}/{'die' if name == 'h2' else 'renew'};;" for name, server in servers.items()
        )
        command.write_text(f'case "$1" in {cases} esac')
        names = [f"{name}={server.url}" for name, server in servers.items()]
        done = restart("-t", "1", "-p", "0", f"sh {command} {{}}", *names)
        assert done.returncode == 1
        assert done.stdout.startswith("h1: back after ")
        assert "h2 did not come back within 1 s: not well 503; left as they are: h3=" in done.stderr
        assert servers["h3"].life == 1.0

        again = restart("-p", "0", f"sh {command} {{}}", *names)
        assert again.returncode == 1
        assert again.stderr == "h2 is not ready, so nothing was restarted: not well 503\n"


def test_an_old_life_that_still_answers_is_not_taken_for_the_new_one() -> None:
    with stand_ins() as servers:
        done = restart("-t", "1", "true {}", f"h1={servers['h1'].url}")
        assert done.returncode == 1
        assert "h1 did not come back within 1 s" in done.stderr
        failed = restart("false", f"h1={servers['h1'].url}", f"h2={servers['h2'].url}")
        assert "h1: the command failed; not restarted: h1 h2=" in failed.stderr
    assert restart("true").returncode == 2
