"""What a server loads. Rule: a library that only people's commands or other settings need costs a running server no memory."""

import subprocess
import sys

PROGRAM = """
import sys
sys.argv = ["flash", "serve", "--homes", "none"]
try:
    from flash.cli import main
    main()
except SystemExit:
    import broker.embedded
    print(*sys.modules)
"""
NOT_LOADED = ("typer", "rich.console", "flash_sdk", "clients", "aiohttp.web", "aiohttp.web_app", "aio_pika", "psycopg", "hypothesis")


def test_a_server_loads_no_client_no_application_framework_and_neither_broker_nor_database_of_other_installations():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(ended.stdout.split())
    assert "edge.server" in loaded
    assert not loaded.intersection(NOT_LOADED)
