"""The README's curl story works as printed. Rule: its own lines are run, with nothing changed but the server's address."""

import asyncio
import os
import re
import shutil
import signal
import sys
from pathlib import Path

from tests.docs import tree
from tests.support.ports import free_ports

STORY = re.compile(r"^```sh story\n(.*?)^```", re.MULTILINE | re.DOTALL)


async def test_two_people_meet_with_nothing_but_curl(tmp_path: Path) -> None:
    assert shutil.which("curl"), "curl is missing: apt-get install curl"
    steps = STORY.findall(tree.text(Path("README.md")))
    port = free_ports(3, in_a_row=True)[0]
    script = "set -eu\n" + "\n".join(steps).replace("http://127.0.0.1:8080", f"http://127.0.0.1:{port}")
    command = (sys.executable, "-m", "flash", "serve", "--port", str(port), "--data", str(tmp_path / "data"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLASH_")} | {"PYTHONPATH": str(tree.ROOT)}
    server = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environment
    )
    try:
        assert server.stdout is not None
        assert b"Flash serves at" in await asyncio.wait_for(server.stdout.readline(), 20)
        shell = await asyncio.create_subprocess_exec(
            "bash", "-c", script, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said = (await asyncio.wait_for(shell.communicate(), 30))[0].decode()
    finally:
        server.send_signal(signal.SIGINT)
        code = await asyncio.wait_for(server.wait(), 20)
    assert shell.returncode == 0, said
    assert '"full_name":"Carol Smith"' in said
    assert said.count('"text":"pop over?"') == 2, said  # live, and again in the replay
    assert '"resume":{"verdict":"fresh","count":0}' in said
    # The second one came from another home: it is in the replay, or right behind it.
    assert re.search(r'"resume":\{"verdict":"replayed","count":[12]\}', said)
    assert said.index('"verdict":"replayed"') < said.rindex("pop over?") < said.index("still there?")
    assert said.strip().endswith("204")
    assert code == 0, "Ctrl-C stops it cleanly"
