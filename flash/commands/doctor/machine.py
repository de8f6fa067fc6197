"""Examines a server's machine: settings, files, limits, ports, clock. Rule: look, never change; each remark says what to do.

`flash/commands/doctor/services.py` examines store and broker.
"""

import contextlib
import email.utils
import json
import os
import resource
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from domain.registry.registered_home import GLOBAL
from flash.process.compose import host_here, public_url
from flash.process.descriptors import OWN_FILES
from flash.process.settings import Settings
from runtime.database_urls import sqlite_file

OK, WARNING, FAILURE = "ok", "warning", "failure"
ANSWER_S = 3.0  # a live server answers in milliseconds
PROXIES_CUT_S = 60.0  # common load balancers end connections that are idle for this long
COME_BACK_S = 6.0  # clients spread their return to a restarted server over this time
SKEW_S = 2.0  # more than networks and schedulers explain
WRONG_S = 30.0  # with a larger difference, times in the history and the ends of tokens are plainly wrong


class Remark(NamedTuple):
    """One line of the doctor: the check, its state (`ok`, `warning`, `failure`), the finding, and what to do about it."""

    check: str
    state: str
    says: str
    do: str = ""


def settings_remarks(settings: Settings, server: str) -> Iterator[Remark]:
    """Find settings that contradict each other or the machine."""
    yield from list(_contradictions(settings, server)) or [Remark("settings", OK, "no contradictions")]


def _contradictions(settings: Settings, server: str) -> Iterator[Remark]:
    url = settings.public_url
    if not url and settings.host == "0.0.0.0":  # noqa: S104 - the operator set it
        yield Remark("settings", FAILURE, "clients are told to come to 127.0.0.1", "set FLASH_PUBLIC_URL to the address that clients use")
    if url.startswith("http://") and not url.startswith(("http://127.", "http://localhost")):
        yield Remark("settings", WARNING, f"passwords travel openly to {url}", "put a TLS proxy in front, FLASH_PUBLIC_URL=https://…")
    if url.startswith("https://") and server == GLOBAL and not settings.trusted_proxies:
        yield Remark(
            "settings", WARNING, "all clients behind the proxy share one limit", "set FLASH_TRUSTED_PROXIES to the proxy's address"
        )
    if settings.blank_s >= PROXIES_CUT_S:
        yield Remark("settings", WARNING, f"proxies cut connections that are idle for {PROXIES_CUT_S:.0f} s", "set FLASH_BLANK_S to 30")
    if settings.restart_grace_s < COME_BACK_S:
        yield Remark("settings", WARNING, "contacts see a logoff when this server is restarted", "set FLASH_RESTART_GRACE_S to 10")
    stored, keys = (sqlite_file(url) if url else None for url in (settings.store_url, settings.keys_url))
    if settings.store_url and stored is None and keys is not None:
        yield Remark(
            "settings", WARNING, "a standby on another machine has no keys", "unset FLASH_KEYS_URL, or let it name a database, too"
        )


def files_remarks(settings: Settings, server: str, environment: Mapping[str, str]) -> Iterator[Remark]:
    """Examine the data directory, and who may read the files with secrets."""
    data = settings.data
    parent = next(path for path in (data.absolute(), *data.absolute().parents) if path.exists())
    if not os.access(parent, os.W_OK | os.X_OK) or not parent.is_dir():
        yield Remark("files", FAILURE, f"{parent} cannot be written", f"chown it to the user of the server, or set FLASH_DATA_DIR ({data})")
    else:
        yield Remark("files", OK, f"{data} can be written")
    secrets = [data / "keys" / f"{server}.db", *([data / GLOBAL / "signing-key.pem"] if server == GLOBAL else [])]
    secrets += [Path(value) for name, value in environment.items() if name.startswith("FLASH_") and name.endswith("_FILE") and value]
    for path in secrets:
        if path.exists() and path.stat().st_mode & 0o077:
            yield Remark("files", WARNING, f"{path} can be read by others ({path.stat().st_mode & 0o777:o})", f"chmod 600 {path}")


def descriptor_remarks(settings: Settings, limit: Callable[[int], tuple[int, int]] = resource.getrlimit) -> Iterator[Remark]:
    """Compare the limit of open files with the number of connections that the settings allow."""
    soft, _ = limit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        do = f"ulimit -n {needed} (systemd: LimitNOFILE={needed}), or set FLASH_MAX_CONNECTIONS to {max(soft - OWN_FILES, 1)}"
        yield Remark("descriptors", WARNING, f"{soft} files may be open, {needed} are needed for FLASH_MAX_CONNECTIONS", do)
    else:
        yield Remark("descriptors", OK, f"{soft} files may be open")


def address_remarks(settings: Settings, server: str, port: int) -> Iterator[Remark]:
    """Examine the port, whether the public URL leads to the same process, and the clock."""
    host = host_here(settings)
    life, _, why = _ask(f"http://{host}:{port}")
    if life:
        yield Remark("port", OK, f"{server} answers at {host}:{port}")
        yield from _readiness(f"http://{host}:{port}", server)
    elif _free(settings.host, port):
        yield Remark("port", OK, f"{host}:{port} is free: the server does not run")
    else:
        yield Remark("port", FAILURE, f"another program has {host}:{port} ({why})", f"ss -ltnp 'sport = :{port}', or choose another --port")
    url = public_url(settings, port)
    there, skew, why = _ask(url)
    if there and life and there != life:
        yield Remark("public URL", FAILURE, f"{url} leads to another server", "correct the proxy's routes, or FLASH_PUBLIC_URL")
    elif there:
        yield Remark("public URL", OK, f"{url} leads here" if life else f"{url} answers")
    elif life:
        yield Remark("public URL", FAILURE, f"{url} cannot be reached from here: {why}", "look at DNS, firewall and proxy")
    else:
        yield Remark("public URL", WARNING, f"{url} does not answer: {why}", "start the server and ask again")
    if skew is not None:
        yield clock_remark(skew, url)


def _readiness(url: str, server: str) -> Iterator[Remark]:
    """What the server says of itself at `/readyz`."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=ANSWER_S) as answer:  # noqa: S310 - the operator's own settings
            warnings = json.load(answer).get("warnings", ())
    except urllib.error.HTTPError as error:
        with contextlib.suppress(ValueError, AttributeError):
            yield Remark("ready", FAILURE, str(json.load(error).get("detail")), f"look into the log of {server}")
            return
        yield Remark("ready", FAILURE, f"/readyz says {error.code}", f"look into the log of {server}")
    except (OSError, ValueError, AttributeError) as error:
        yield Remark("ready", FAILURE, f"/readyz does not answer: {error}", f"look into the log of {server}")
    else:
        for warning in warnings:
            yield Remark("ready", WARNING, str(warning), "docs/operations.md says what each means")
        if not warnings:
            yield Remark("ready", OK, f"{server} serves")


def clock_remark(skew_s: float, who: str) -> Remark:
    """A remark on the clock. `skew_s`: how far the clock of `who` is ahead of this one."""
    if abs(skew_s) <= SKEW_S:
        return Remark("clock", OK, f"the same at {who}, to {SKEW_S:.0f} s")
    state = FAILURE if abs(skew_s) > WRONG_S else WARNING
    return Remark(
        "clock", state, f"{abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} {who}", "let chrony or timesyncd run on both"
    )


def _ask(url: str) -> tuple[str, float | None, str]:
    """The start time of the Flash server that answers at `url` (empty: none does), how far its clock is ahead, and what went wrong."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=ANSWER_S) as answer:  # noqa: S310 - the operator's own settings
            text, date = answer.read().decode("utf-8", "replace"), answer.headers["Date"]
    except (urllib.error.URLError, OSError, ValueError) as error:
        return "", None, str(getattr(error, "reason", error) or type(error).__name__)
    skew = email.utils.parsedate_to_datetime(date).timestamp() + 0.5 - time.time() if date else None
    life = next((line.split()[1] for line in text.splitlines() if line.startswith("flash_started_seconds ")), "")
    return life, skew, "" if life else "the program that answers is no Flash server"


def _free(host: str, port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((host, port))
        except OSError:
            return False
    return True
