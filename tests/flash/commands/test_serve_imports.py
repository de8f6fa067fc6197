"""What a server loads. Rule: a library that only people's commands or other settings need costs a running server no memory."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.argv = ["flash", "serve", "--homes", "none"]
try:
    from flash.cli import main
    main()
except SystemExit:
    import json, os, ssl
    import aiohttp.connector
    import broker.embedded.broker
    contexts = [value for value in vars(aiohttp.connector).values() if isinstance(value, ssl.SSLContext)]
    certificates = [context.cert_store_stats()["x509_ca"] for context in contexts]
    print(json.dumps([list(sys.modules), certificates, os.environ.get("SSL_CERT_FILE")]))
"""
NOT_LOADED = ("typer", "rich.console", "flash_sdk", "clients", "aiohttp.web", "aiohttp.web_app", "aio_pika", "psycopg", "hypothesis")


@pytest.mark.parametrize("certificates", [None, "/etc/ssl/certs/ca-certificates.crt"])
def test_a_server_loads_no_client_no_application_framework_and_neither_broker_nor_database_of_other_installations(certificates):
    environment = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    environment |= {"SSL_CERT_FILE": certificates} if certificates else {}
    ended = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60)
    loaded, loaded_certificates, environment_after = json.loads(ended.stdout)
    assert "edge.http.server" in loaded
    assert not set(loaded).intersection(NOT_LOADED)
    assert loaded_certificates
    assert not any(loaded_certificates), "certificates for a client that no server uses: 3 MB"
    assert environment_after == certificates, "what makes TLS connections later finds the system's"
