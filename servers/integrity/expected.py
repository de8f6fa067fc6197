"""Which logs should lie in a data directory. Rule: a log that is gone leaves traces elsewhere, and each trace is named.

Who deletes a database deletes its seals with it, so that nothing is left to be verified, unless somebody says that it was there.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from domain.registry.registered_home import GLOBAL, HOME_NAME
from servers.integrity.findings import Finding
from servers.store.databases import is_log


def logs_in(data: Path) -> list[str]:
    """The servers whose logs can be read in the directory."""
    return [path.stem for path in sorted(data.glob("*.db")) if is_log(f"sqlite:///{path}", path.stem)]


def traces_in(data: Path) -> dict[str, set[str]]:
    """What in the directory says that a server has worked there, by server."""
    traces: dict[str, set[str]] = {}
    for pattern, what in (("*.lock", "its lock file"), ("keys/*.db", "its keys"), ("*/*.projection", "its projections")):
        for path in data.glob(pattern):
            name = path.parent.name if path.suffix == ".projection" else path.stem
            if name != "broker" and (name == GLOBAL or HOME_NAME.fullmatch(name)):
                traces.setdefault(name, set()).add(what)
    return traces


def missing_logs(there: Iterable[str], traces: Mapping[str, set[str]], told: Mapping[str, int]) -> dict[str, Finding]:
    """A finding for each server that has left traces and has no log. `told`: the last position of each server in the history, where all
    of its servers should be here."""
    found: dict[str, Finding] = {}
    for name in sorted((traces.keys() | told.keys()) - set(there)):
        says = traces.get(name, set()) | ({"the history"} if name in told else set())
        last = max(told.get(name, 0), 1)
        found[name] = Finding("missing", 1, last, says, what="there is no log, or it cannot be read")
    return found
