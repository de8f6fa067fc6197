"""The `flash` command itself: what its help lists, which version it has, and what it says when a server cannot start."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flash.commands.names import SERVER_COMMANDS
from servers.trust.enrolment import Secret

FLASH = [sys.executable, "-c", "from flash.cli import main; main()"]
TIMEOUT_S = 60


def flash(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FLASH_")}
    return subprocess.run([*FLASH, *arguments], env=inherited | environment, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_lists_the_commands_of_people_and_of_servers(option: str) -> None:
    ended = flash(option)
    assert ended.returncode == 0
    listed = {words[1] for line in ended.stdout.splitlines() if len(words := line.split()) > 2}
    assert {*SERVER_COMMANDS, "send", "listen", "tk", "audit", "doctor"} <= listed


@pytest.mark.parametrize("command", [*SERVER_COMMANDS, "send", "audit", "user add"])
def test_every_command_takes_the_short_option_for_help(command: str) -> None:
    ended = flash(*command.split(), "-h")
    assert ended.returncode == 0
    assert "usage" in ended.stdout.lower()


def test_the_version_is_one_line() -> None:
    ended = flash("--version")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "flash 0.1.0\n"


def test_a_server_whose_port_is_taken_names_the_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = flash("serve", "--port", str(port), FLASH_DATA_DIR=str(tmp_path), FLASH_LOG_LEVEL="error")
    assert ended.returncode == 1
    assert ended.stderr == f"flash: Cannot listen on 127.0.0.1:{port}: Address already in use.\n"


def test_a_secret_that_is_none_or_another_homes_is_refused_and_not_shown(tmp_path: Path) -> None:
    ended = flash("home", "h1", "--enroll", "h1.junk", FLASH_DATA_DIR=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "flash: argument --enroll: expected what `flash enroll` printed\n"
    secret = Secret("h2", bytes(32), b"s" * 32).text
    for environment in ({"FLASH_ENROLL": secret}, {"FLASH_ENROLL_FILE": str(tmp_path / "secret")}):
        (tmp_path / "secret").write_text(secret)
        ended = flash("home", "h1", FLASH_DATA_DIR=str(tmp_path), **environment)
        assert (ended.returncode, ended.stderr) == (1, "flash: FLASH_ENROLL: this secret is for h2, not for h1\n")
