"""`deploy/systemd`: the units, held against systemd itself and against what the documents say. Rule: a remark of systemd is a failure."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy/systemd"
FLASH = "/opt/flash/bin/flash"
ROLLING = re.compile(r"rolling_restart\.sh 'systemctl restart flash-\{\}' (.+)")


def test_systemd_has_nothing_to_remark(tmp_path: Path) -> None:
    """Every key known, every value valid; of the template an instance. Only where Flash lies is another place here."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here (apt-get install systemd)")
    here = str(Path(sys.executable).with_name("flash"))
    units = []
    for unit in UNITS.glob("*.service"):
        copy = tmp_path / unit.name.replace("@.", "@h1.")
        copy.write_text(unit.read_text().replace(FLASH, here))
        units.append(str(copy))
    assert len(units) == 2
    said = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False, timeout=60)
    assert [line for line in (said.stdout + said.stderr).splitlines() if str(tmp_path) in line or "flash" in line] == []
    assert said.returncode == 0


def test_the_documented_rolling_restart_names_units_that_are_there() -> None:
    names = {unit.name.removesuffix(".service").partition("@")[0] for unit in UNITS.glob("*.service")}
    for place in ("docs/operations.md", "deploy/rolling_restart.sh"):
        (line,) = ROLLING.findall((ROOT / place).read_text())
        servers = [word.partition("=")[0] for word in line.split()]
        assert servers == ["global", "home@h1", "home@h2"]
        assert {f"flash-{server}".partition("@")[0] for server in servers} == names


@pytest.mark.parametrize("unit", ["flash-global.service", "flash-home@.service"])
def test_a_server_is_started_as_its_command_line_wants_it(unit: str) -> None:
    """With a setting that is refused as soon as the arguments are understood."""
    (line,) = re.findall(rf"^ExecStart={FLASH} (.+)$", (UNITS / unit).read_text(), re.MULTILINE)
    arguments = line.replace("%i", "h1").replace("${PORT}", "8081").split()
    command, environment = [sys.executable, "-m", "flash", *arguments], {**os.environ, "FLASH_BLANK_S": "never"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == "flash: FLASH_BLANK_S: expected seconds above 0\n"
