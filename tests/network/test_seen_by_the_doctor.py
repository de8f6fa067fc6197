"""`flash doctor h1 --as ann --through PROXY` behind real proxies. Rule: what the doctor says is what a client goes through."""

import contextlib
import json
from pathlib import Path

import pytest

from clients.command_line.running import run
from clients.terminal.grants import Grants
from flash.cli import people
from flash.commands.doctor.machine import FAILURE, OK, Remark
from tests.network import software
from tests.network.conftest import BLANKS_PORT, Installations, Town
from tests.network.firewall import Firewall
from tests.network.namespaces import OUTSIDE, Place
from tests.network.timing import BLANK_S

HOME, PROXY = BLANKS_PORT + 1, 8191


@pytest.mark.parametrize(
    ("proxy", "state", "says", "do"),
    [
        ("nginx", OK, "blanks", ""),
        ("haproxy", OK, "blanks", ""),
        ("nginx that holds back", FAILURE, "holds streams back", "nginx: proxy_buffering off"),
        ("haproxy without patience", FAILURE, "ends back connections", "timeout server"),
    ],
)
async def test_what_the_doctor_sees(
    firewall: Firewall,
    outside: Place,
    town: Town,
    installations: Installations,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    proxy: str,
    state: str,
    says: str,
    do: str,
) -> None:
    monkeypatch.setenv("FLASH_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("FLASH_HOST", OUTSIDE)
    ann = await town.moves_in("ann", "outside", installations.with_blanks)
    Grants(installations.with_blanks.url).keep(ann.grant, current=True)
    name, _, wrong = proxy.partition(" ")
    with contextlib.ExitStack() as stack:
        if name == "nginx":
            stack.enter_context(software.nginx(outside, tmp_path, PROXY, HOME, holds_back=bool(wrong)))
        else:
            stack.enter_context(software.haproxy(outside, tmp_path, PROXY, HOME, patience=f"{BLANK_S * 500:.0f}ms" if wrong else "90s"))
        options = ["--port", str(HOME), "--data", str(tmp_path), "--server", installations.with_blanks.url, "--json"]
        command = ["doctor", "h1", "--as", ann.handle, "--through", f"http://{OUTSIDE}:{PROXY}", *options]
        code = outside.call(run, people(), command)
    told = [Remark(**json.loads(line)) for line in capsys.readouterr().out.splitlines()]
    (remark,) = [remark for remark in told if remark.check == "stream"]
    assert (remark.state, says in remark.says, do in remark.do) == (state, True, True), remark
    assert code == int(state == FAILURE)
